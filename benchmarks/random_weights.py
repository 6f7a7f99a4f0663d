"""Made-up weights of the real architectures: small networks for tests, the published sizes for benchmarks.

A maker writes a folder as the hub keeps it and returns it. Nothing is downloaded, and all numbers come
from fixed seeds. The small networks' weights are drawn so that the output depends on the image; of the
published sizes only the time is measured, so theirs are what their libraries start training with.
"""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

from dynprep.models import AllTracker, UniDepthV2

Size = Literal["tiny", "published"]
Network = TypeVar("Network", bound=nn.Module)

_SEED = 7
_HEAD_GAIN = 0.02  # of the last layers of AllTracker's heads: tracks then move by some pixels


def seeded(network: Network, gain: float = 1.0) -> Network:
    """Draw all parameters from a fixed seed, large enough that the output depends on the image."""
    generator = torch.Generator().manual_seed(_SEED)
    with torch.no_grad():
        for name, value in network.named_parameters():
            spread = 0.5 if value.ndim < 2 else gain / (value.numel() // value.shape[0]) ** 0.5
            value.copy_(torch.randn(value.shape, generator=generator) * spread)
            if name.endswith(("norm.weight", "norm1.weight", "norm2.weight")):
                value.abs_().add_(0.5)
    return network


def _save(network: Any, folder: Path, size: Size) -> None:
    """Write a network of transformers with its weights and configuration."""
    if size == "tiny":
        seeded(network)
    network.save_pretrained(folder)


def _preprocessor(folder: Path, processor: str, **values: Any) -> None:
    """Write the preprocessor_config.json that a published repository holds."""
    common = {
        "do_normalize": True,
        "do_pad": False,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.485, 0.456, 0.406],
        "image_processor_type": processor,
        "image_std": [0.229, 0.224, 0.225],
        "rescale_factor": 1 / 255,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps({**common, **values}))


def dpt_preprocessor(
    folder: Path,
    side: int = 518,
    multiple: int = 14,
    keep_aspect: bool = True,
    kind: str = "DPTImageProcessor",
) -> None:
    """Write the preprocessor_config.json of Depth Anything, DPT and MiDaS."""
    _preprocessor(
        folder,
        kind,
        ensure_multiple_of=multiple,
        keep_aspect_ratio=keep_aspect,
        resample=3,
        size={"height": side, "width": side},
    )


# width, blocks, attention heads, channels of the neck, of the fusion and of the head, tapped blocks
_DEPTH_ANYTHING: dict[str, tuple[int, int, int, list[int], int, int, list[int]]] = {
    "tiny": (32, 4, 2, [8, 16, 16, 16], 16, 8, [1, 2, 3, 4]),
    "small": (384, 12, 6, [48, 96, 192, 384], 64, 32, [3, 6, 9, 12]),
    "base": (768, 12, 12, [96, 192, 384, 768], 128, 32, [3, 6, 9, 12]),
    "large": (1024, 24, 16, [256, 512, 1024, 1024], 256, 32, [5, 12, 18, 24]),
}


def depth_anything_config(variant: str, metric: bool = False, hidden: int | None = None) -> Any:
    """Return the configuration of the tiny or the published small, base or large network.

    ``hidden`` gives another width.
    """
    from transformers import DepthAnythingConfig, Dinov2Config

    width, blocks, heads, neck, fusion, head, taps = _DEPTH_ANYTHING[variant]
    width = hidden or width
    backbone = Dinov2Config(
        hidden_size=width,
        num_hidden_layers=blocks,
        num_attention_heads=heads,
        image_size=518,
        patch_size=14,
        out_indices=taps,
        reshape_hidden_states=False,
        apply_layernorm=True,
    )
    how = {"depth_estimation_type": "metric", "max_depth": 20} if metric else {}
    return DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=width,
        patch_size=14,
        neck_hidden_sizes=neck,
        fusion_hidden_size=fusion,
        head_hidden_size=head,
        **how,
    )


def depth_anything(
    folder: Path,
    size: Size = "tiny",
    variant: str = "small",
    metric: bool = False,
    hidden: int | None = None,
) -> Path:
    """Depth Anything with a DINOv2 encoder; ``variant`` is a published size: small, base or large."""
    from transformers import DepthAnythingForDepthEstimation

    config = depth_anything_config(variant if size == "published" else "tiny", metric, hidden)
    _save(DepthAnythingForDepthEstimation(config), folder, size)
    dpt_preprocessor(folder)
    return folder


def prompt_depth_anything_config(variant: str) -> Any:
    """Return the configuration of the tiny or the published small or large network."""
    from transformers import PromptDepthAnythingConfig

    like = depth_anything_config(variant).to_dict()
    shared = (
        "backbone_config",
        "reassemble_hidden_size",
        "neck_hidden_sizes",
        "fusion_hidden_size",
        "head_hidden_size",
    )
    return PromptDepthAnythingConfig(
        **{name: like[name] for name in shared},
        patch_size=14,
        depth_estimation_type="metric",
        max_depth=1,
    )


def prompt_depth_anything(folder: Path, size: Size = "tiny", variant: str = "small") -> Path:
    """Prompt Depth Anything with a DINOv2 encoder; ``variant`` is a published size: small or large."""
    from transformers import PromptDepthAnythingForDepthEstimation

    config = prompt_depth_anything_config(variant if size == "published" else "tiny")
    _save(PromptDepthAnythingForDepthEstimation(config), folder, size)
    dpt_preprocessor(folder, 756, kind="PromptDepthAnythingImageProcessor")
    return folder


_TINY_DPT = {
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "image_size": 64,
    "patch_size": 16,
    "fusion_hidden_size": 16,
    "reassemble_factors": [4, 2, 1, 0.5],
    "is_hybrid": False,
}


def dpt(folder: Path, size: Size = "tiny") -> Path:
    """DPT; published: DPT Large, a ViT-L/16 at 384."""
    tiny = size == "tiny"
    return _dpt(
        folder,
        size,
        64 if tiny else 384,
        hidden_size=32 if tiny else 1024,
        num_hidden_layers=4 if tiny else 24,
        neck_hidden_sizes=[8, 16, 16, 16] if tiny else [256, 512, 1024, 1024],
        backbone_out_indices=[0, 1, 2, 3] if tiny else [5, 11, 17, 23],
        **(_TINY_DPT if tiny else {"num_attention_heads": 16, "intermediate_size": 4096}),
    )


def dpt_hybrid(folder: Path, size: Size = "tiny") -> Path:
    """DPT Hybrid; published: ResNet-50 and ViT-B/16 at 384."""
    if size == "published":
        neck = [256, 512, 768, 768]
        return _dpt(folder, size, 384, is_hybrid=True, hidden_size=768, neck_hidden_sizes=neck)
    backbone = {
        "model_type": "bit",
        "global_padding": "same",
        "layer_type": "bottleneck",
        "depths": [1, 1, 1],
        "hidden_sizes": [16, 32, 64],
        "embedding_size": 16,
        "num_groups": 8,
        "out_features": ["stage1", "stage2", "stage3"],
        "embedding_dynamic_padding": True,
    }
    return _dpt(
        folder,
        size,
        64,
        backbone_config=backbone,
        backbone_featmap_shape=[1, 64, 4, 4],
        hidden_size=32,
        num_hidden_layers=4,
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[16, 32, 16, 16],
        **{**_TINY_DPT, "is_hybrid": True, "reassemble_factors": [1, 1, 1, 0.5]},
    )


def midas_beit(folder: Path, size: Size = "tiny") -> Path:
    """MiDaS 3.1; published: BEiT-L/16 at 512."""
    from transformers import BeitConfig

    tiny = size == "tiny"
    width, blocks, heads = (32, 4, 2) if tiny else (1024, 24, 16)
    backbone = BeitConfig(
        image_size=64 if tiny else 512,
        hidden_size=width,
        num_hidden_layers=blocks,
        num_attention_heads=heads,
        intermediate_size=2 * width if tiny else 4 * width,
        use_relative_position_bias=True,
        reshape_hidden_states=False,
        out_features=[f"stage{k * blocks // 4}" for k in range(1, 5)],
    )
    neck = [8, 16, 16, 16] if tiny else [256, 512, 1024, 1024]
    inner = {"fusion_hidden_size": 16, "reassemble_factors": [4, 2, 1, 0.5]} if tiny else {}
    side = 64 if tiny else 512
    return _dpt(folder, size, side, backbone_config=backbone, neck_hidden_sizes=neck, **inner)


def _dpt(folder: Path, size: Size, side: int, **config: Any) -> Path:
    from transformers import DPTConfig, DPTForDepthEstimation

    _save(DPTForDepthEstimation(DPTConfig(**config)), folder, size)
    dpt_preprocessor(folder, side, multiple=16, keep_aspect=False)
    return folder


def _tiny_zoedepth() -> dict[str, Any]:
    from transformers import BeitConfig

    return {
        "backbone_config": BeitConfig(
            image_size=64,
            hidden_size=32,
            num_hidden_layers=4,
            num_attention_heads=2,
            intermediate_size=32,
            patch_size=16,
            out_features=["stage1", "stage2", "stage3", "stage4"],
            reshape_hidden_states=False,
            use_relative_position_bias=True,
        ),
        "neck_hidden_sizes": [8, 16, 16, 16],
        "fusion_hidden_size": 16,
        "bottleneck_features": 16,
        "reassemble_factors": [4, 2, 1, 0.5],
        "num_relative_features": 16,
        "bin_embedding_dim": 8,
        "num_attractors": [4, 2, 1, 1],
        "bin_configurations": [{"n_bins": 8, "min_depth": 0.001, "max_depth": 10.0, "name": "nyu"}],
    }


def zoedepth(folder: Path, size: Size = "tiny") -> Path:
    """ZoeDepth; published: BEiT-L/16 at 384x512."""
    from transformers import ZoeDepthConfig, ZoeDepthForDepthEstimation

    config = ZoeDepthConfig(**(_tiny_zoedepth() if size == "tiny" else {}))
    _save(ZoeDepthForDepthEstimation(config), folder, size)
    height, width = (64, 96) if size == "tiny" else (384, 512)
    _preprocessor(
        folder,
        "ZoeDepthImageProcessor",
        do_pad=True,
        ensure_multiple_of=32,
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
        keep_aspect_ratio=True,
        resample=2,
        size={"height": height, "width": width},
    )
    return folder


_TINY_DEPTH_PRO = {
    "patch_size": 32,
    "scaled_images_ratios": [0.25, 0.5, 1.0],
    "scaled_images_overlap_ratios": [0.0, 0.5, 0.25],
    "scaled_images_feature_dims": [16, 16, 16],
    "intermediate_hook_ids": [1, 0],
    "intermediate_feature_dims": [16, 16],
    "fusion_hidden_size": 16,
    "merge_padding_value": 1,
}


def depth_pro(folder: Path, size: Size = "tiny") -> Path:
    """Depth Pro; published: three ViT-L/16."""
    from transformers import DepthProConfig, DepthProForDepthEstimation

    tiny = size == "tiny"
    encoder: dict[str, Any] = {
        "model_type": "dinov2",
        "hidden_size": 16 if tiny else 1024,
        "num_hidden_layers": 2 if tiny else 24,
        "num_attention_heads": 2 if tiny else 16,
        "image_size": 32 if tiny else 384,
        "patch_size": 8 if tiny else 16,
        "use_mask_token": False,
        **({"intermediate_size": 32} if tiny else {}),
    }
    config = DepthProConfig(
        use_fov_model=True,
        image_model_config=dict(encoder),
        patch_model_config=dict(encoder),
        fov_model_config=dict(encoder),
        **(_TINY_DEPTH_PRO if tiny else {}),
    )
    _save(DepthProForDepthEstimation(config), folder, size)
    return folder


def _tokenizer(folder: Path) -> Any:
    """Return CLIP's tokenizer with a vocabulary of single letters, written to ``folder``."""
    from transformers import CLIPTokenizer

    folder.mkdir(parents=True)
    letters = [chr(c) + end for end in ("", "</w>") for c in range(ord("a"), ord("z") + 1)]
    words = [*letters, "!", "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: k for k, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    files = (str(folder / "vocab.json"), str(folder / "merges.txt"))
    return CLIPTokenizer(*files, model_max_length=77)


# of the denoising network, of the encoder of images, and of the encoder of the empty prompt
_MARIGOLD: dict[Size, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "tiny": (
        {
            "block_out_channels": (32, 64),
            "layers_per_block": 1,
            "sample_size": 8,
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
            "cross_attention_dim": 32,
            "norm_num_groups": 16,
        },
        {"block_out_channels": [16, 16, 16, 16], "norm_num_groups": 8},
        {
            "hidden_size": 32,
            "intermediate_size": 37,
            "num_attention_heads": 4,
            "num_hidden_layers": 2,
        },
    ),
    "published": (
        {
            "cross_attention_dim": 1024,
            "attention_head_dim": (5, 10, 20, 20),
            "use_linear_projection": True,
        },
        {"block_out_channels": [128, 256, 512, 512], "layers_per_block": 2},
        {
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_hidden_layers": 23,
            "num_attention_heads": 16,
        },
    ),
}


def marigold(folder: Path, size: Size = "tiny", lcm: bool = False, normals: bool = False) -> Path:
    """Marigold for depth or normals; published: Stable Diffusion 2's networks with eight input channels."""
    from diffusers import (
        AutoencoderKL,
        DDIMScheduler,
        LCMScheduler,
        MarigoldDepthPipeline,
        MarigoldNormalsPipeline,
        UNet2DConditionModel,
    )
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(_SEED)
    of_unet, of_vae, of_text = _MARIGOLD[size]
    unet = UNet2DConditionModel(in_channels=8, out_channels=4, **of_unet)
    vae = AutoencoderKL(
        latent_channels=4,
        down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4,
        **of_vae,
    )
    text = CLIPTextConfig(
        vocab_size=55,
        max_position_embeddings=77,
        bos_token_id=53,
        eos_token_id=54,
        pad_token_id=54,
        **of_text,
    )
    scheduler = LCMScheduler if lcm else DDIMScheduler
    steps = {"default_denoising_steps": 2, "default_processing_resolution": 64}
    kind: dict[str, Any] = {
        "prediction_type": "depth",
        "scale_invariant": True,
        "shift_invariant": True,
    }
    if normals:
        kind = {"prediction_type": "normals", "use_full_z_range": True}
    (MarigoldNormalsPipeline if normals else MarigoldDepthPipeline)(
        unet=unet,
        vae=vae,
        scheduler=scheduler(
            prediction_type="v_prediction", beta_schedule="scaled_linear", clip_sample=False
        ),
        text_encoder=CLIPTextModel(text),
        tokenizer=_tokenizer(folder / "words"),
        **kind,
        **(steps if size == "tiny" else {}),
    ).save_pretrained(folder)
    return folder


def unidepth_tensors(variant: str = "vits14") -> dict[str, Tensor]:
    """Return every tensor of a published checkpoint, also those that reach no output."""
    network = seeded(UniDepthV2(variant), gain=0.5)
    channels, inner = network.config.encoder_channels, network.config.channels
    unused = {
        "pixel_encoder.register_tokens": torch.zeros(1, 1, channels),
        "pixel_encoder.mask_token": torch.zeros(1, channels),
        "pixel_decoder.level_embeds": torch.zeros(1, 1, 4, inner),
    }
    return {**{k: v.detach().clone() for k, v in network.state_dict().items()}, **unused}


_TINY_SAM3 = 8  # cells of SAM 3's square
_TINY_SAM2 = 64  # side of the tiny network's square, pixels
_FOUND = 50.0  # the score of there being an object


def sam2(folder: Path) -> Path:
    """SAM 2's video network, about a million parameters."""
    from transformers import (
        Sam2HieraDetConfig,
        Sam2VideoConfig,
        Sam2VideoMaskDecoderConfig,
        Sam2VideoModel,
        Sam2VideoPromptEncoderConfig,
        Sam2VisionConfig,
    )

    side = _TINY_SAM2
    backbone = Sam2HieraDetConfig(
        hidden_size=8,
        num_attention_heads=1,
        image_size=[side, side],
        blocks_per_stage=[1, 2, 2, 1],
        embed_dim_per_stage=[8, 16, 32, 64],
        num_attention_heads_per_stage=[1, 1, 2, 2],
        window_size_per_stage=[4, 4, 4, 2],
        global_attention_blocks=[4],
        window_positional_embedding_background_size=[4, 4],
    )
    vision = Sam2VisionConfig(
        backbone_config=backbone,
        backbone_channel_list=[64, 32, 16, 8],
        fpn_hidden_size=128,
        backbone_feature_sizes=[[side // k, side // k] for k in (4, 8, 16)],
    )
    prompts = Sam2VideoPromptEncoderConfig(hidden_size=128, image_size=side, patch_size=16)
    decoder = Sam2VideoMaskDecoderConfig(
        hidden_size=128, mlp_dim=64, num_attention_heads=2, iou_head_hidden_dim=32
    )
    config = Sam2VideoConfig(
        vision_config=vision,
        prompt_encoder_config=prompts,
        mask_decoder_config=decoder,
        image_size=side,
        num_maskmem=3,
        memory_attention_hidden_size=128,
        memory_attention_num_layers=1,
        memory_attention_feed_forward_hidden_size=64,
        memory_attention_rope_feat_sizes=[side // 16, side // 16],
        memory_encoder_hidden_size=128,
        memory_encoder_output_channels=64,
        mask_downsampler_embed_dim=128,
        memory_fuser_embed_dim=128,
        memory_fuser_intermediate_dim=64,
        memory_fuser_num_layers=1,
    )
    network = seeded(Sam2VideoModel(config), gain=0.5)
    with torch.no_grad():  # so that it finds an object
        network.mask_decoder.pred_obj_score_head.proj_out.bias.fill_(_FOUND)
    network.save_pretrained(folder)
    return folder


def sam3(folder: Path) -> Path:
    """SAM 3's video network, detector and tracker, about four million parameters, with a tokenizer of letters."""
    from transformers import (
        CLIPTextConfig,
        Sam3Config,
        Sam3DETRDecoderConfig,
        Sam3DETREncoderConfig,
        Sam3GeometryEncoderConfig,
        Sam3MaskDecoderConfig,
        Sam3TrackerVideoConfig,
        Sam3TrackerVideoMaskDecoderConfig,
        Sam3TrackerVideoPromptEncoderConfig,
        Sam3VideoConfig,
        Sam3VideoModel,
        Sam3VisionConfig,
        Sam3ViTConfig,
    )

    cells, width, heads, inner = _TINY_SAM3, 128, 2, 64
    side = 14 * cells  # a patch is of 14 pixels

    def vision() -> Any:
        backbone = Sam3ViTConfig(
            hidden_size=32,
            intermediate_size=inner,
            num_hidden_layers=2,
            num_attention_heads=heads,
            image_size=side,
            pretrain_image_size=side // 2,
            window_size=cells // 2,
            global_attn_indexes=[1],
        )
        sizes = [[k * cells, k * cells] for k in (4, 2, 1)]
        return Sam3VisionConfig(
            backbone_config=backbone, fpn_hidden_size=width, backbone_feature_sizes=sizes
        )

    layers = {
        "hidden_size": width,
        "num_layers": 1,
        "num_attention_heads": heads,
        "intermediate_size": inner,
    }
    words = _tokenizer(folder / "words")
    text = CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=inner,
        projection_dim=16,
        num_hidden_layers=1,
        num_attention_heads=heads,
        max_position_embeddings=32,
        hidden_act="gelu",
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
    )
    detector = Sam3Config(
        vision_config=vision(),
        text_config=text,
        geometry_encoder_config=Sam3GeometryEncoderConfig(**layers),
        detr_encoder_config=Sam3DETREncoderConfig(**layers),
        detr_decoder_config=Sam3DETRDecoderConfig(**layers, num_queries=6),
        mask_decoder_config=Sam3MaskDecoderConfig(hidden_size=width, num_attention_heads=heads),
    )
    tracker = Sam3TrackerVideoConfig(
        vision_config=vision(),
        prompt_encoder_config=Sam3TrackerVideoPromptEncoderConfig(
            hidden_size=width, image_size=side
        ),
        mask_decoder_config=Sam3TrackerVideoMaskDecoderConfig(
            hidden_size=width, mlp_dim=inner, num_attention_heads=heads, iou_head_hidden_dim=32
        ),
        image_size=side,
        num_maskmem=3,
        memory_attention_hidden_size=width,
        memory_attention_num_layers=1,
        memory_attention_feed_forward_hidden_size=inner,
        memory_attention_rope_feat_sizes=[cells, cells],
        memory_encoder_hidden_size=width,
        memory_encoder_output_channels=64,
        mask_downsampler_embed_dim=width,
        memory_fuser_embed_dim=width,
        memory_fuser_intermediate_dim=inner,
        memory_fuser_num_layers=1,
        max_object_pointers_in_encoder=4,
    )
    config = Sam3VideoConfig(
        detector_config=detector,
        tracker_config=tracker,
        low_res_mask_size=4 * cells,
        hotstart_delay=3,
        hotstart_unmatch_thresh=2,
        hotstart_dup_thresh=2,
        score_threshold_detection=0.0,  # made-up weights are sure of nothing
        new_det_thresh=0.0,
    )
    torch.manual_seed(_SEED)
    network = Sam3VideoModel(config)
    with torch.no_grad():  # so that it follows what it has found
        network.tracker_model.mask_decoder.pred_obj_score_head.proj_out.bias.fill_(_FOUND)
    network.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def unidepth(folder: Path, size: Size = "tiny", variant: str = "vits14") -> Path:
    """UniDepth V2 of a published variant; tiny: set to look at small images, a tenth of the pixels."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    if size == "published":
        save_file(UniDepthV2(variant).state_dict(), folder / "model.safetensors")
        return folder
    save_file(unidepth_tensors(variant), folder / "model.safetensors")
    encoder = {"name": f"dinov2_{variant}", "output_idx": [3, 6, 9, 12], "use_norm": True}
    model = {"name": "UniDepthV2", "num_heads": 8, "pixel_encoder": encoder}
    small = {"pixels_min": 20_000, "pixels_max": 60_000, "ratio_bounds": [0.5, 2.5]}
    config = {"model": model, "data": {"shape_constraints": small}}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def alltracker(variant: Literal["full", "tiny"]) -> AllTracker:
    """Return AllTracker in one of its two published sizes; its tracks move by some pixels."""
    torch.manual_seed(0)
    network = AllTracker(variant).eval()
    with torch.no_grad():
        for head in (network.flow_head, network.visconf_head):
            for value in head[2].parameters():
                value.mul_(_HEAD_GAIN)
    return network


def _moge_config(variant: str, tokens: tuple[int, int]) -> dict[str, Any]:
    """What a checkpoint of MoGe-2 says of its network."""
    width, taps, blocks = {
        "vits": (384, [5, 11], 1),
        "vitb": (768, [5, 11], 1),
        "vitl": (1024, [5, 11, 17, 23], 2),
    }[variant]
    widths = [width, 256, 128, 64, 32]
    common = {
        "dim_res_blocks": widths,
        "res_block_in_norm": "none",
        "res_block_hidden_norm": "none",
        "resamplers": ["conv_transpose", "conv_transpose", "conv_transpose", "bilinear"],
    }

    def head(outputs: int) -> dict[str, Any]:
        last = [None, None, None, None, outputs]
        return {"dim_in": widths, "dim_out": last, "num_res_blocks": [0, 1, 1, 1, 0], **common}

    return {
        "encoder": {
            "backbone": f"dinov2_{variant}14",
            "intermediate_layers": taps,
            "dim_out": width,
        },
        "neck": {
            "dim_in": [width + 2, 2, 2, 2, 2],
            "dim_out": None,
            "num_res_blocks": [0, blocks, blocks, blocks, 0],
            **common,
        },
        "points_head": head(3),
        "mask_head": head(1),
        "normal_head": head(3),
        "scale_head": {"dims": [width, width, width, 1]},
        "remap_output": "exp",
        "num_tokens_range": list(tokens),
    }


def moge(folder: Path, size: Size = "tiny", variant: str = "vits") -> Path:
    """MoGe-2; tiny: ViT-S, set to look at few patches, whose points are about a plane seen by a camera."""
    from dynprep.models.moge.config import configured
    from dynprep.models.moge.network import MoGe2

    torch.manual_seed(_SEED)
    folder.mkdir(parents=True, exist_ok=True)
    config = _moge_config(variant, (60, 180) if size == "tiny" else (1200, 3600))
    network = MoGe2(configured(config, "here"))
    if size == "tiny":
        _as_if_seen(seeded(network))
    torch.save({"model_config": config, "model": network.state_dict()}, folder / "model.pt")
    return folder


def _as_if_seen(network: Any) -> None:
    """Let the points' x and y go with the place in the image, as those that a camera sees do."""
    with torch.no_grad():
        for name, stack in (("neck", network.neck), ("points", network.points_head)):
            enters = stack.input_blocks[4]
            enters.weight[:2] = 0
            enters.bias[:2] = 0
            stack.resamplers[3][1].weight[:2] = 0
            stack.resamplers[3][1].bias[:2] = 0
            for channel in range(2):
                enters.weight[channel, channel] = 1.0 if name == "points" else 10.0
        last = network.points_head.output_blocks[4]
        last.weight.mul_(0.1)
        last.weight[:2] = 0
        last.bias.copy_(torch.tensor([0.0, 0.0, 0.5]))
        for channel in range(2):
            last.weight[channel, channel] = 0.15
        network.mask_head.output_blocks[4].bias.fill_(1.0)  # most of an image has a depth
        network.scale_head[4].weight.mul_(0.1)


def video_depth_anything(
    folder: Path, size: Size = "tiny", variant: str = "vits", metric: bool = False
) -> Path:
    """Video Depth Anything, relative and metric networks being of one shape."""
    from dynprep.models.video_depth_anything.network import VideoDepthAnything

    torch.manual_seed(_SEED)
    folder.mkdir(parents=True, exist_ok=True)
    network = VideoDepthAnything(variant)
    if size == "tiny":
        seeded(network)
        with torch.no_grad():
            list(network.head.scratch.output_conv2.parameters())[-1].fill_(3.0)  # few values are 0
    name = f"{'metric_' * metric}video_depth_anything_{variant}.pth"
    torch.save(network.state_dict(), folder / name)
    return folder


def depth_anything_3(folder: Path, size: Size = "tiny", kind: str = "small") -> Path:
    """Depth Anything 3. kind: a size of the networks for several views, ``single`` or ``nested``."""
    from safetensors.torch import save_file

    from dynprep.models.depth_anything_3.camera import CameraDecoder
    from dynprep.models.depth_anything_3.head import Head
    from dynprep.models.depth_anything_3.network import AnyView, Nested, OneView

    torch.manual_seed(_SEED)
    folder.mkdir(parents=True, exist_ok=True)
    network: nn.Module
    if kind == "single":
        network = OneView("small" if size == "tiny" else "large")
    elif kind == "nested":
        network = Nested("small", "small") if size == "tiny" else Nested()
    else:
        network = AnyView(kind)
    if size == "tiny":
        seeded(network)
        with torch.no_grad():
            for module in network.modules():
                if isinstance(module, Head) and module.scratch.sky_output_conv2 is not None:
                    # a part of an image is sky
                    list(module.scratch.sky_output_conv2.parameters())[-1].add_(4.5)
                if isinstance(module, CameraDecoder):
                    weight, bias = module.fc_fov.parameters()
                    weight.mul_(0.01)
                    bias.fill_(0.9)
    save_file(
        {f"model.{k}": v.contiguous() for k, v in network.state_dict().items()},
        folder / "model.safetensors",
    )
    return folder


def segformer(folder: Path, size: Size = "tiny", variant: str = "b5") -> Path:
    """SegFormer with the 150 names of ADE20K; tiny: four names, small layers."""
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    torch.manual_seed(_SEED)
    published = {
        "b0": {"depths": [2, 2, 2, 2], "hidden_sizes": [32, 64, 160, 256], "decoder_hidden_size": 256},
        "b5": {"depths": [3, 6, 40, 3], "hidden_sizes": [64, 128, 320, 512], "decoder_hidden_size": 768},
    }  # fmt: skip
    tiny = {"depths": [1, 1, 1, 1], "hidden_sizes": [8, 16, 20, 32], "decoder_hidden_size": 16}
    names = ["wall", "building", "sky", "floor"]
    if size == "published":
        names += [f"other {k}" for k in range(146)]
    config = SegformerConfig(
        **(tiny if size == "tiny" else published[variant]),
        id2label=dict(enumerate(names)),
        label2id={name: k for k, name in enumerate(names)},
    )
    network = SegformerForSemanticSegmentation(config)
    if size == "tiny":
        seeded(network)
        with torch.no_grad():
            network.decode_head.classifier.bias[2] += 2.3  # a part of an image is sky
    network.save_pretrained(folder)
    side = 64 if size == "tiny" else 640
    _preprocessor(
        folder,
        "SegformerImageProcessor",
        do_reduce_labels=True,
        resample=2,
        size={"height": side, "width": side},
    )
    return folder


_VARIANTS = ("small", "base", "large")

# the published network of each group and choice of the configuration
MAKERS: dict[str, Callable[[Path], Path]] = {
    **{
        f"depth/depth_anything_{version}_{v}": partial(depth_anything, size="published", variant=v)
        for version in ("v2", "v1")
        for v in _VARIANTS
    },
    "depth/dpt_large": partial(dpt, size="published"),
    "depth/dpt_hybrid": partial(dpt_hybrid, size="published"),
    "depth/midas_beit_large": partial(midas_beit, size="published"),
    **{
        f"metric_depth/depth_anything_v2_{where}_{v}": partial(
            depth_anything, size="published", variant=v, metric=True
        )
        for where in ("indoor", "outdoor")
        for v in _VARIANTS
    },
    **{
        f"metric_depth/prompt_depth_anything{ending}": partial(
            prompt_depth_anything, size="published", variant=v
        )
        for ending, v in (("_small", "small"), ("", "large"))
    },
    **{
        f"metric_depth/zoedepth{where}": partial(zoedepth, size="published")
        for where in ("", "_indoor", "_outdoor")
    },
    **{
        f"{group}/{choice}": partial(marigold, size="published", lcm=choice == "marigold_lcm")
        for group in ("prior", "depth")
        for choice in ("marigold", "marigold_v1_0", "marigold_lcm")
    },
    **{
        f"metric_depth/unidepth_v2_{v}": partial(unidepth, size="published", variant=v)
        for v in ("vits14", "vitb14", "vitl14")
    },
    "normals/marigold": partial(marigold, size="published", normals=True),
    **{
        f"{group}/moge_2_{v}": partial(moge, size="published", variant=v)
        for group in ("metric_depth", "normals")
        for v in ("vits", "vitb", "vitl")
    },
    **{
        f"{group}/video_depth_anything_{name}": partial(
            video_depth_anything, size="published", variant=v, metric=group == "metric_depth"
        )
        for group in ("metric_depth", "depth")
        for name, v in (("small", "vits"), ("base", "vitb"), ("large", "vitl"))
    },
    **{
        f"metric_depth/depth_anything_3_{kind}": partial(
            depth_anything_3, size="published", kind=kind
        )
        for kind in ("small", "base", "large", "giant", "nested")
    },
    "depth/depth_anything_3_mono": partial(depth_anything_3, size="published", kind="single"),
    "metric_depth/depth_anything_3_metric": partial(
        depth_anything_3, size="published", kind="single"
    ),
    "sky/segformer": partial(segformer, size="published"),
    "sky/segformer_b0": partial(segformer, size="published", variant="b0"),
    "metric_depth/depth_pro": partial(depth_pro, size="published"),
}


def make(backend: str, folder: Path) -> Path:
    """Write weights of the published network of ``backend``, such as depth/dpt_large, to ``folder``."""
    torch.manual_seed(_SEED)
    return MAKERS[backend](folder)
