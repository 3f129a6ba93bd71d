"""How a model is fine-tuned: the stages, and how they are carried out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kmedtl.errors import UserError, expect

Preset = Literal["none", "xray", "xray_strong", "skin", "retina", "mri", "ultrasound", "histology", "symmetries"]
Objective = Literal["supervised", "pseudo", "mean_teacher", "mixmatch", "simclr"]
TWO_VIEWS = ("mean_teacher", "mixmatch", "simclr")  # objectives that compare two views of an image
SCALES_OUT = "What scales out over machines is a run on each: folds (--folds), seeds, or the trials of a search."


@dataclass(frozen=True)
class Stage:
    """One stage of fine-tuning: what trains, for how long and how fast.

    Attributes:
        name: shown in progress, history and report.
        train: `head`, `all`, `last:2`, block names or globs; the rest is frozen. `adaptive:2`: the head and the two
            blocks of the backbone whose gradient is largest beside their weights, measured on validation when the
            stage begins (Lee et al., Surgical Fine-Tuning, 2023, section 4, Auto-RGN).
        epochs: passes over the training images.
        lr: peak rate, reached after `warmup` of the steps, then lowered along a cosine; `auto`: found by a range test
            when the stage begins (Smith, Cyclical Learning Rates, 2017, section 3.3), see `kmedtl lr-find`.
        optimizer: `adamw`, `sgd` (Nesterov momentum 0.9) or `lamb`.
        layer_decay: each block's rate is that of the block behind it times this, the head's is `lr`; 1: one rate for
            all (Bao et al., BEiT, 2022, appendix; Howard & Ruder, ULMFiT, 2018, section 3.2).
        clip_norm: bound on the norm of a block's gradient (of all together where `layer_decay` is 1); 0: none.
        l2_sp: strength λ of λ‖w − w₀‖² on the backbone's kernels (in an update, on the head's too), w₀ being those the
            stage starts from, which shrinks towards what was learned before instead of towards 0 (Li et al., L2-SP,
            2018, equation 3).
        ema: decay of the moving average of the weights, by the step, which is validated and kept instead of the
            weights themselves (Polyak & Juditsky 1992); 0: none, else such as 0.99.
        interpolate: after the stage, weights (1 − α)·start + α·tuned are validated for each of these α, and the best is
            handed on (Wortsman et al., WiSE-FT, 2022, section 3); empty: the tuned weights.
        batch_norm: `adapt` lets the BatchNorm layers of the backbone take the mean and variance of the training images
            before the stage, their scale and offset stay (Li et al., AdaBN, 2018); `adapt_early` those of the blocks
            up to an eighth of the image's side alone, which see light and texture; `train` lets those of trainable
            blocks learn, on a small set at their peril; their statistics are those of about the last epoch.
        patience: stop after so many epochs without a better one in the stage; 0: never.
        weight_decay: decoupled decay (Loshchilov & Hutter 2019); biases and norms are left out.
        warmup: fraction of the stage's steps.
        views: augmented views of each image for which the frozen part is computed, once; the epochs draw from them.
            More is closer to fresh augmentation and slower; 0: compute the whole model for every image of every epoch.
        augment: a preset of `kmedtl.data.augment`; empty: that of `data.augment`.
        border: against shortcuts in frames and markers: `mask` blackens a random part of the border, `crop` cuts it off
            and stretches the rest.
        label_smoothing: as in Szegedy et al. 2016, section 7.
        mix: train on mixtures of two images and of their labels: `mixup` (Zhang et al. 2018) or `cutmix` (Yun et al.
            2019).
        focal_gamma: weigh each loss by |target − probability|^γ, so that what is known already counts less (Lin et al.,
            Focal Loss, 2017, equation 4); 0: cross-entropy.
        style: against other scanners, images get the style of others of their batch in training: `fourier` mixes the
            amplitudes of their low frequencies and keeps every phase (Xu et al., FACT, 2021; Yang & Soatto, FDA, 2020);
            `mixstyle` mixes means and deviations of the maps that early blocks end in (Zhou et al., MixStyle, 2021).
        domains: `adversarial` lets the backbone unlearn what tells the values of the column `data.domain` apart, such
            as scanners, by the reversed gradient of a classifier that is dropped afterwards (Ganin et al., DANN, 2016);
            the loss that training shows is that of both.
        class_weights: `balanced` weighs a rare label's images up, so that each label counts the same.
        sampling: `natural`: an epoch visits every training image once; `balanced`: it draws as many images, of each
            label as often as of any other, rare ones therefore several times.
        logit_adjustment: a classification is trained on logits plus so many times the logarithm of how frequent each
            answer is in training, so that the logits themselves are as if all were equally frequent (Menon et al.,
            Long-tail Learning via Logit Adjustment, 2021, equation 10); calibration brings the frequencies back. 0:
            none, 1: wholly.
        objective: `supervised`, or how the images of `data.unlabelled` teach beside the labelled ones, in
            `kmedtl.finetune.objectives`. `pseudo`: by the answers of the best epoch so far, asked once when the stage
            begins, calibrated on validation and taken as probabilities (self-training: Xie et al., Noisy Student, 2020,
            section 2). `mean_teacher`: answers must agree with those of the moving average of the weights (`ema`) to
            another view of the image (Tarvainen & Valpola 2017). `mixmatch`: by the mean answer to two views,
            sharpened, all images, labelled or not, being mixed with each other at the cut (Berthelot et al. 2019).
            `simclr` looks at no label: the backbone learns to tell two views of an image from all other images (Chen et
            al. 2020), those of training and of `data.unlabelled`, if there are any; the head waits, so no epoch is
            judged and the last one counts.
        unlabelled_weight: of the unlabelled images' part of the loss; that of the labelled ones has 1.
    """

    name: str
    train: str
    epochs: int
    lr: float | Literal["auto"]
    optimizer: Literal["adamw", "sgd", "lamb"] = "adamw"
    layer_decay: float = 1.0
    clip_norm: float = 0.0
    l2_sp: float = 0.0
    ema: float = 0.0
    interpolate: tuple[float, ...] = ()
    batch_norm: Literal["frozen", "adapt", "adapt_early", "train"] = "frozen"
    patience: int = 0
    weight_decay: float = 1e-4
    warmup: float = 0.1
    views: int = 2
    augment: Literal["", Preset] = ""
    border: Literal["none", "mask", "crop"] = "none"
    label_smoothing: float = 0.0
    focal_gamma: float = 0.0
    mix: Literal["none", "mixup", "cutmix"] = "none"
    style: Literal["none", "fourier", "mixstyle"] = "none"
    domains: Literal["none", "adversarial"] = "none"
    class_weights: Literal["none", "balanced"] = "none"
    sampling: Literal["natural", "balanced"] = "natural"
    logit_adjustment: float = 0.0
    objective: Objective = "supervised"
    unlabelled_weight: float = 1.0

    def __post_init__(self) -> None:
        def check(condition: bool, setting: str, expected: str) -> None:
            expect(condition, f"stage {self.name}: {setting}", expected, getattr(self, setting))

        check(self.epochs >= 1, "epochs", "at least 1")
        self._check_objective()
        check(self.lr == "auto" or 0 < self.lr <= 10, "lr", "auto, or a rate above 0, at most 10")
        check(0 < self.layer_decay <= 1, "layer_decay", "above 0, at most 1")
        for setting in (
            "clip_norm", "l2_sp", "focal_gamma", "patience", "weight_decay", "views", "logit_adjustment",
            "unlabelled_weight",
        ):  # fmt: skip
            check(getattr(self, setting) >= 0, setting, "0 or more")
        check(0 <= self.ema < 1, "ema", "a decay from 0 to below 1")
        check(all(0 <= alpha <= 1 for alpha in self.interpolate), "interpolate", "fractions")
        check(0 <= self.warmup <= 1, "warmup", "a fraction")
        once = self.sampling == "natural" or self.class_weights == "none"
        check(once, "class_weights", "none beside sampling: balanced, which weighs already")
        check(0 <= self.label_smoothing < 1, "label_smoothing", "0 to below 1")

    @property
    def is_supervised(self) -> bool:
        return self.objective == "supervised"

    @property
    def is_contrastive(self) -> bool:
        return self.objective == "simclr"

    @property
    def fewest_views(self) -> int:
        """How many views of an image a step compares, 2, or takes, 1."""
        return 2 if self.objective in TWO_VIEWS else 1

    def _check_objective(self) -> None:
        """Refuse what has no sense beside images without labels, or no effect without them."""
        place, beside = f"stage {self.name}", f"beside objective={self.objective}"
        if self.is_supervised or self.is_contrastive:
            weight = self.unlabelled_weight
            expect(weight == 1, f"{place}: unlabelled_weight", f"1, as it is by default, {beside}", weight)
        if self.is_supervised:
            return
        if self.is_contrastive:  # which no label and no validation has a say in
            for name in ("patience", "interpolate", "label_smoothing", "focal_gamma"):
                value, neutral = getattr(self, name), type(self).__dataclass_fields__[name].default
                expect(value == neutral, f"{place}: {name}", f"{neutral} {beside}", value)
            expect(self.lr != "auto", f"{place}: lr", f"a rate {beside}", self.lr)
            named = not self.train.startswith("adaptive")
            expect(named, f"{place}: train", f"blocks {beside}: labels choose adaptive ones", self.train)
        for name in ("mix", "style", "domains", "class_weights", "sampling", "logit_adjustment"):
            value, neutral = getattr(self, name), type(self).__dataclass_fields__[name].default
            expect(value == neutral, f"{place}: {name}", f"{neutral} {beside}", value)
        averaged = self.objective != "mean_teacher" or self.ema > 0
        expect(averaged, f"{place}: ema", f"above 0 {beside}, such as 0.99: the teacher is the average", self.ema)
        fewest = self.fewest_views
        expect(self.views >= fewest, f"{place}: views", f"{fewest} or more {beside}, which is cached", self.views)


@dataclass(frozen=True)
class Training:
    """How the stages are carried out.

    Attributes:
        select: what the best epoch is best at, on validation: the `headline` figure of the task, such as the AUC (`auc`
            is the same by name); `sensitivity` at `specificity`; or `worst_shift`, the lowest headline over the
            corruptions of `kmedtl shift` (severity 3, about 150 validation images).
        specificity: at which `select=sensitivity` is measured.
        minutes: that `schedule: auto` may train, about; a stage that would take longer than what is left gets fewer
            epochs or is left out; 0: as long as it gains.
        accept_hours: that a stage of objective `simclr` may take: after its first steps it tells how long it will, and
            is refused if that is more.
        cache_gigabytes: disk space for the frozen part's activations; a stage that needs more computes them anew in
            each epoch, and says so. 10^9 bytes.
        cache_dtype: `float16` halves the space; with `float32` a cached stage trains exactly as an uncached one.
        strategy: `auto`: all the GPUs of the machine, else its one processor; `cpu`; `mirrored`: all devices of a kind,
            a batch being divided among them; `tpu`. `data.batch_size` is that of all devices together, so the rate
            needs no scaling. `multi_worker` is refused.
        precision: `float32`, or what layers compute in while weights stay float32 (Micikevicius et al., Mixed Precision
            Training, 2018); the exported model is float32.
        soft_share: what the answers of the recipe's `distill` count in the loss, 0 to 1; the labels count the rest.
        soft_temperature: that logits of teacher and student are divided by there, 1 or more: the higher, the more a
            student learns of what the teacher holds for unlikely (Hinton et al., Distilling the Knowledge in a Neural
            Network, 2015, section 2).
        jit: let XLA compile the training step; on CPUs that takes minutes and gains nothing.
        tensorboard: write scalars for `tensorboard --logdir RUN/tensorboard`.
        mlflow: an MLflow tracking URI that the run is logged to as well (`pip install kmedtl[mlflow]`); empty: none.
    """

    select: Literal["headline", "auc", "sensitivity", "worst_shift"] = "headline"
    specificity: float = 0.9
    minutes: float = 0.0
    accept_hours: float = 0.5
    cache_gigabytes: float = 4.0
    cache_dtype: Literal["float16", "float32"] = "float16"
    strategy: Literal["auto", "cpu", "mirrored", "tpu", "multi_worker"] = "auto"
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    soft_share: float = 0.7
    soft_temperature: float = 2.0
    jit: bool = False
    tensorboard: bool = True
    mlflow: str = ""

    def __post_init__(self) -> None:
        if self.strategy == "multi_worker":
            raise UserError(
                "training.strategy: expected one machine: Keras 3 does not train on several workers. Received: "
                f"multi_worker. {SCALES_OUT}"
            )
        if "@" in self.mlflow.partition("://")[2].partition("/")[0]:
            raise UserError(
                "training.mlflow: expected an address without a password, since recipes are kept; "
                "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."
            )
        expect(0 < self.specificity < 1, "training.specificity", "a fraction", self.specificity)
        expect(0 <= self.soft_share <= 1, "training.soft_share", "a share from 0 to 1", self.soft_share)
        expect(1 <= self.soft_temperature <= 100, "training.soft_temperature", "1 to 100", self.soft_temperature)
        expect(self.minutes >= 0, "training.minutes", "0 or more", self.minutes)
        expect(self.accept_hours >= 0, "training.accept_hours", "0 or more", self.accept_hours)
        expect(self.cache_gigabytes >= 0, "training.cache_gigabytes", "0 or more", self.cache_gigabytes)
