"""Made-up networks of the real architectures, small, saved as the hub keeps them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

_SEED = 7


def seeded(network: nn.Module, gain: float = 1.0) -> nn.Module:
    """Weights from a fixed seed, large enough that the output depends on the image."""
    made = torch.Generator().manual_seed(_SEED)
    with torch.no_grad():
        for name, value in network.named_parameters():
            spread = 0.5 if value.ndim < 2 else gain / (value.numel() // value.shape[0]) ** 0.5
            value.copy_(torch.randn(value.shape, generator=made) * spread)
            if name.endswith(("norm.weight", "norm1.weight", "norm2.weight")):
                value.abs_().add_(0.5)
    return network


def dpt_preprocessor(
    folder: Path, size: int = 518, multiple: int = 14, keep_aspect: bool = True
) -> None:
    """The preprocessor_config.json that Depth Anything's repositories hold."""
    values = {
        "do_normalize": True,
        "do_pad": False,
        "do_rescale": True,
        "do_resize": True,
        "ensure_multiple_of": multiple,
        "image_mean": [0.485, 0.456, 0.406],
        "image_processor_type": "DPTImageProcessor",
        "image_std": [0.229, 0.224, 0.225],
        "keep_aspect_ratio": keep_aspect,
        "resample": 3,
        "rescale_factor": 1 / 255,
        "size": {"height": size, "width": size},
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(values))


def depth_anything(folder: Path, hidden: int = 32, metric: bool = False, **config: Any) -> Path:
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config

    backbone = Dinov2Config(
        hidden_size=hidden, num_hidden_layers=4, num_attention_heads=2, image_size=518, patch_size=14,
        out_features=["stage1", "stage2", "stage3", "stage4"], reshape_hidden_states=False,
        apply_layernorm=True,
    )  # fmt: skip
    how = {"depth_estimation_type": "metric", "max_depth": 20} if metric else {}
    made = DepthAnythingConfig(
        backbone_config=backbone, reassemble_hidden_size=hidden, patch_size=14,
        neck_hidden_sizes=[8, 16, 16, 16], fusion_hidden_size=16, head_hidden_size=8, **how, **config,
    )  # fmt: skip
    seeded(DepthAnythingForDepthEstimation(made)).save_pretrained(folder)
    dpt_preprocessor(folder)
    return folder


def published_depth_anything(size: str) -> Any:
    """The configuration of the published small, base or large network."""
    from transformers import DepthAnythingConfig, Dinov2Config

    hidden, blocks, heads, neck, fusion, taps = {
        "small": (384, 12, 6, [48, 96, 192, 384], 64, [3, 6, 9, 12]),
        "base": (768, 12, 12, [96, 192, 384, 768], 128, [3, 6, 9, 12]),
        "large": (1024, 24, 16, [256, 512, 1024, 1024], 256, [5, 12, 18, 24]),
    }[size]
    backbone = Dinov2Config(
        hidden_size=hidden, num_hidden_layers=blocks, num_attention_heads=heads, image_size=518,
        patch_size=14, out_indices=taps, reshape_hidden_states=False, apply_layernorm=True,
    )  # fmt: skip
    return DepthAnythingConfig(
        backbone_config=backbone, reassemble_hidden_size=hidden, patch_size=14, head_hidden_size=32,
        neck_hidden_sizes=neck, fusion_hidden_size=fusion,
    )  # fmt: skip


def dpt(folder: Path) -> Path:
    from transformers import DPTConfig, DPTForDepthEstimation

    config = DPTConfig(
        hidden_size=32, num_hidden_layers=4, num_attention_heads=2, intermediate_size=64, image_size=64,
        patch_size=16, backbone_out_indices=[0, 1, 2, 3], neck_hidden_sizes=[8, 16, 16, 16],
        fusion_hidden_size=16, reassemble_factors=[4, 2, 1, 0.5], is_hybrid=False,
    )  # fmt: skip
    seeded(DPTForDepthEstimation(config)).save_pretrained(folder)
    dpt_preprocessor(folder, size=64, multiple=16, keep_aspect=False)
    return folder


def zoedepth(folder: Path) -> Path:
    from transformers import BeitConfig, ZoeDepthConfig, ZoeDepthForDepthEstimation

    backbone = BeitConfig(
        image_size=64, hidden_size=32, num_hidden_layers=4, num_attention_heads=2, intermediate_size=32,
        patch_size=16, out_features=["stage1", "stage2", "stage3", "stage4"],
        reshape_hidden_states=False, use_relative_position_bias=True,
    )  # fmt: skip
    config = ZoeDepthConfig(
        backbone_config=backbone, neck_hidden_sizes=[8, 16, 16, 16], fusion_hidden_size=16,
        bottleneck_features=16, reassemble_factors=[4, 2, 1, 0.5], num_relative_features=16,
        bin_embedding_dim=8, num_attractors=[4, 2, 1, 1],
        bin_configurations=[{"n_bins": 8, "min_depth": 0.001, "max_depth": 10.0, "name": "nyu"}],
    )  # fmt: skip
    seeded(ZoeDepthForDepthEstimation(config)).save_pretrained(folder)
    values = {
        "do_normalize": True, "do_pad": True, "do_rescale": True, "do_resize": True,
        "ensure_multiple_of": 32, "image_mean": [0.5] * 3, "image_processor_type": "ZoeDepthImageProcessor",
        "image_std": [0.5] * 3, "keep_aspect_ratio": True, "resample": 2, "rescale_factor": 1 / 255,
        "size": {"height": 64, "width": 96},
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(values))
    return folder


def depth_pro(folder: Path) -> Path:
    from transformers import DepthProConfig, DepthProForDepthEstimation

    vit = {
        "model_type": "dinov2", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 32, "image_size": 32, "patch_size": 8, "use_mask_token": False,
    }  # fmt: skip
    config = DepthProConfig(
        patch_size=32, scaled_images_ratios=[0.25, 0.5, 1.0], scaled_images_overlap_ratios=[0.0, 0.5, 0.25],
        scaled_images_feature_dims=[16, 16, 16], intermediate_hook_ids=[1, 0],
        intermediate_feature_dims=[16, 16], fusion_hidden_size=16, merge_padding_value=1, use_fov_model=True,
        image_model_config=dict(vit), patch_model_config=dict(vit), fov_model_config=dict(vit),
    )  # fmt: skip
    seeded(DepthProForDepthEstimation(config)).save_pretrained(folder)
    return folder


def marigold(folder: Path, lcm: bool = False) -> Path:
    from diffusers import (
        AutoencoderKL,
        DDIMScheduler,
        LCMScheduler,
        MarigoldDepthPipeline,
        UNet2DConditionModel,
    )
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    torch.manual_seed(_SEED)
    unet = UNet2DConditionModel(
        block_out_channels=(32, 64), layers_per_block=1, sample_size=8, in_channels=8, out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), cross_attention_dim=32, norm_num_groups=16,
    )  # fmt: skip
    vae = AutoencoderKL(
        block_out_channels=[16, 16, 16, 16], in_channels=3, out_channels=3, latent_channels=4,
        down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4,
        norm_num_groups=8,
    )  # fmt: skip
    text = CLIPTextConfig(
        hidden_size=32, intermediate_size=37, num_attention_heads=4, num_hidden_layers=2, vocab_size=55,
        max_position_embeddings=77, bos_token_id=53, eos_token_id=54, pad_token_id=54,
    )  # fmt: skip
    words = folder / "words"
    words.mkdir(parents=True)
    letters = [chr(c) for c in range(97, 123)] + [f"{chr(c)}</w>" for c in range(97, 123)]
    vocabulary = {w: i for i, w in enumerate([*letters, "!", "<|startoftext|>", "<|endoftext|>"])}
    (words / "vocab.json").write_text(json.dumps(vocabulary))
    (words / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(
        str(words / "vocab.json"), str(words / "merges.txt"), model_max_length=77
    )
    kind = LCMScheduler if lcm else DDIMScheduler
    scheduler = kind(
        prediction_type="v_prediction", beta_schedule="scaled_linear", clip_sample=False
    )
    pipe = MarigoldDepthPipeline(
        unet=unet, vae=vae, scheduler=scheduler, text_encoder=CLIPTextModel(text), tokenizer=tokenizer,
        prediction_type="depth", scale_invariant=True, shift_invariant=True, default_denoising_steps=2,
        default_processing_resolution=64,
    )  # fmt: skip
    pipe.save_pretrained(folder)
    return folder


def unidepth_tensors(
    variant: str = "vits14", value: Callable[..., Any] | None = None
) -> dict[str, Tensor]:
    """Every tensor of a published checkpoint, those that reach no output too."""
    from dynprep.models.unidepth.network import UniDepthV2

    network = seeded(UniDepthV2(variant), gain=0.5)
    channels, inner = network.config.encoder_channels, network.config.channels
    unused = {
        "pixel_encoder.register_tokens": torch.zeros(1, 1, channels),
        "pixel_encoder.mask_token": torch.zeros(1, channels),
        "pixel_decoder.level_embeds": torch.zeros(1, 1, 4, inner),
    }
    return {**{k: v.detach().clone() for k, v in network.state_dict().items()}, **unused}


def unidepth(folder: Path, variant: str = "vits14") -> Path:
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    save_file(unidepth_tensors(variant), folder / "model.safetensors")
    encoder = {"name": f"dinov2_{variant}", "output_idx": [3, 6, 9, 12], "use_norm": True}
    (folder / "config.json").write_text(json.dumps(unidepth_config(encoder)))
    return folder


def unidepth_config(encoder: dict[str, Any]) -> dict[str, Any]:
    """As published, but for small images: a tenth of the pixels."""
    small = {"pixels_min": 20_000, "pixels_max": 60_000, "ratio_bounds": [0.5, 2.5]}
    model = {"name": "UniDepthV2", "num_heads": 8, "pixel_encoder": encoder}
    return {"model": model, "data": {"shape_constraints": small}}
