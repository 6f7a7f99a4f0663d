"""Weights made up for the published architectures: what is measured is time, not quality."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


def _save(network: Any, folder: Path) -> None:
    network.save_pretrained(folder)


def _preprocessor(folder: Path, kind: str, **values: Any) -> None:
    common = {
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
        "image_processor_type": kind,
        "keep_aspect_ratio": True,
        "rescale_factor": 1 / 255,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps({**common, **values}))


def depth_anything(size: str, metric: bool = False) -> Callable[[Path], None]:
    """Depth Anything with a DINOv2 encoder of the published small, base or large size."""
    how = {"depth_estimation_type": "metric", "max_depth": 20} if metric else {}
    hidden, blocks, heads, neck, fusion, taps = {
        "small": (384, 12, 6, [48, 96, 192, 384], 64, [3, 6, 9, 12]),
        "base": (768, 12, 12, [96, 192, 384, 768], 128, [3, 6, 9, 12]),
        "large": (1024, 24, 16, [256, 512, 1024, 1024], 256, [5, 12, 18, 24]),
    }[size]

    def make(folder: Path) -> None:
        from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config

        backbone = Dinov2Config(
            hidden_size=hidden,
            num_hidden_layers=blocks,
            num_attention_heads=heads,
            image_size=518,
            patch_size=14,
            out_indices=taps,
            reshape_hidden_states=False,
            apply_layernorm=True,
        )
        config = DepthAnythingConfig(
            backbone_config=backbone,
            reassemble_hidden_size=hidden,
            patch_size=14,
            neck_hidden_sizes=neck,
            fusion_hidden_size=fusion,
            head_hidden_size=32,
            **how,
        )
        _save(DepthAnythingForDepthEstimation(config), folder)
        size = {"height": 518, "width": 518}
        _preprocessor(folder, "DPTImageProcessor", ensure_multiple_of=14, resample=3, size=size)

    return make


def dpt_large(folder: Path) -> None:
    """DPT Large: ViT-L/16 at 384."""
    from transformers import DPTConfig, DPTForDepthEstimation

    config = DPTConfig(
        hidden_size=1024,
        num_hidden_layers=24,
        num_attention_heads=16,
        intermediate_size=4096,
        neck_hidden_sizes=[256, 512, 1024, 1024],
        backbone_out_indices=[5, 11, 17, 23],
    )
    _save(DPTForDepthEstimation(config), folder)
    size = {"height": 384, "width": 384}
    _preprocessor(folder, "DPTImageProcessor", keep_aspect_ratio=False, resample=3, size=size)


def dpt_hybrid(folder: Path) -> None:
    """DPT Hybrid: ResNet-50 and ViT-B/16 at 384."""
    from transformers import DPTConfig, DPTForDepthEstimation

    config = DPTConfig(is_hybrid=True, hidden_size=768, neck_hidden_sizes=[256, 512, 768, 768])
    _save(DPTForDepthEstimation(config), folder)
    size = {"height": 384, "width": 384}
    _preprocessor(folder, "DPTImageProcessor", keep_aspect_ratio=False, resample=3, size=size)


def midas_beit_large(folder: Path) -> None:
    """MiDaS 3.1: BEiT-L/16 at 512."""
    from transformers import BeitConfig, DPTConfig, DPTForDepthEstimation

    backbone = BeitConfig(
        image_size=512,
        hidden_size=1024,
        num_hidden_layers=24,
        num_attention_heads=16,
        intermediate_size=4096,
        use_relative_position_bias=True,
        reshape_hidden_states=False,
        out_features=["stage6", "stage12", "stage18", "stage24"],
    )
    config = DPTConfig(backbone_config=backbone, neck_hidden_sizes=[256, 512, 1024, 1024])
    _save(DPTForDepthEstimation(config), folder)
    size = {"height": 512, "width": 512}
    _preprocessor(folder, "DPTImageProcessor", keep_aspect_ratio=False, resample=3, size=size)


def zoedepth(folder: Path) -> None:
    """ZoeDepth: BEiT-L/16 at 384x512."""
    from transformers import ZoeDepthConfig, ZoeDepthForDepthEstimation

    _save(ZoeDepthForDepthEstimation(ZoeDepthConfig()), folder)
    size = {"height": 384, "width": 512}
    _preprocessor(
        folder, "ZoeDepthImageProcessor", do_pad=True, ensure_multiple_of=32, resample=2, size=size
    )


def marigold(lcm: bool) -> Callable[[Path], None]:
    """Marigold: Stable Diffusion 2's networks, with eight input channels."""

    def make(folder: Path) -> None:
        from diffusers import (
            AutoencoderKL,
            DDIMScheduler,
            LCMScheduler,
            MarigoldDepthPipeline,
            UNet2DConditionModel,
        )
        from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

        unet = UNet2DConditionModel(
            in_channels=8,
            cross_attention_dim=1024,
            attention_head_dim=(5, 10, 20, 20),
            use_linear_projection=True,
        )
        sides = [128, 256, 512, 512]
        vae = AutoencoderKL(
            block_out_channels=sides,
            layers_per_block=2,
            latent_channels=4,
            down_block_types=["DownEncoderBlock2D"] * 4,
            up_block_types=["UpDecoderBlock2D"] * 4,
        )
        text = CLIPTextConfig(
            hidden_size=1024,
            intermediate_size=4096,
            num_hidden_layers=23,
            num_attention_heads=16,
            vocab_size=55,
        )
        folder.mkdir(parents=True)
        letters = [chr(c) + end for end in ("", "</w>") for c in range(ord("a"), ord("z") + 1)]
        words = {w: k for k, w in enumerate([*letters, "!", "<|startoftext|>", "<|endoftext|>"])}
        (folder / "vocab.json").write_text(json.dumps(words))
        (folder / "merges.txt").write_text("#version: 0.2\n")
        files = (str(folder / "vocab.json"), str(folder / "merges.txt"))
        kind = LCMScheduler if lcm else DDIMScheduler
        MarigoldDepthPipeline(
            unet=unet,
            vae=vae,
            scheduler=kind(prediction_type="v_prediction", clip_sample=False),
            text_encoder=CLIPTextModel(text),
            tokenizer=CLIPTokenizer(*files, model_max_length=77),
            prediction_type="depth",
            scale_invariant=True,
            shift_invariant=True,
        ).save_pretrained(folder)

    return make


def unidepth(variant: str) -> Callable[[Path], None]:
    """UniDepth V2 of one of its three sizes."""

    def make(folder: Path) -> None:
        from safetensors.torch import save_file

        from dynprep.models import UniDepthV2

        folder.mkdir(parents=True)
        save_file(UniDepthV2(variant).state_dict(), folder / "model.safetensors")

    return make


def depth_pro(folder: Path) -> None:
    """Depth Pro: three ViT-L/16."""
    from transformers import DepthProConfig, DepthProForDepthEstimation

    large = {
        "model_type": "dinov2",
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "image_size": 384,
        "patch_size": 16,
        "use_mask_token": False,
    }
    config = DepthProConfig(
        use_fov_model=True,
        image_model_config=dict(large),
        patch_model_config=dict(large),
        fov_model_config=dict(large),
    )
    _save(DepthProForDepthEstimation(config), folder)


_SIZES = ("small", "base", "large")

# by group and choice of the configuration
MAKERS: dict[str, Callable[[Path], None]] = {
    **{f"depth/depth_anything_{v}_{s}": depth_anything(s) for v in ("v2", "v1") for s in _SIZES},
    "depth/dpt_large": dpt_large,
    "depth/dpt_hybrid": dpt_hybrid,
    "depth/midas_beit_large": midas_beit_large,
    **{
        f"metric_depth/depth_anything_v2_{w}_{s}": depth_anything(s, metric=True)
        for w in ("indoor", "outdoor")
        for s in _SIZES
    },
    **{f"metric_depth/zoedepth{w}": zoedepth for w in ("", "_indoor", "_outdoor")},
    **{
        f"{group}/{choice}": marigold(choice == "marigold_lcm")
        for group in ("prior", "depth")
        for choice in ("marigold", "marigold_v1_0", "marigold_lcm")
    },
    **{f"metric_depth/unidepth_v2_{v}": unidepth(v) for v in ("vits14", "vitb14", "vitl14")},
    "metric_depth/depth_pro": depth_pro,
}


def make(backend: str, folder: Path) -> None:
    """Write ``backend``'s weights to ``folder``, from a fixed seed."""
    torch.manual_seed(0)
    MAKERS[backend](folder)
