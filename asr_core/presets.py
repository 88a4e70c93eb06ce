"""Ways to fine-tune, written as the flags of `train.py`; flags on the command line come after."""

from __future__ import annotations

KEEP_BEST = {"load_best_model_at_end": True, "greater_is_better": False}
EVERY_EPOCH = {"eval_strategy": "epoch", "save_strategy": "epoch", "save_total_limit": 2}

GUIDE = {
    # The values of the guide "Automatic speech recognition" of transformers, in today's names.
    # Run as published it seldom gets anywhere: 80 clips, a fresh head and a tiny learning rate
    # leave it on the plateau where everything is blank (transformers #10884).
    "model": "facebook/wav2vec2-base",
    "dataset": "PolyAI/minds14",
    "dataset_config": "en-US",
    "train_split": "train[:100]",
    "test_size": 0.2,
    "per_device_train_batch_size": 8,
    "gradient_accumulation_steps": 2,
    "learning_rate": 1e-5,
    "warmup_steps": 500,
    "max_steps": 2000,
    "activation_checkpointing": True,
    "train_sampling_strategy": "group_by_length",
    "per_device_eval_batch_size": 8,
    "eval_strategy": "steps",
    "save_steps": 1000,
    "eval_steps": 1000,
    "logging_steps": 25,
    **KEEP_BEST,
    "metric_for_best_model": "wer",
}

RECOMMENDED = {
    # The guide's job, so that it works the first time: all of the data, a feature encoder that
    # stays as it was pretrained (Baevski et al., 2020), a learning rate that a fresh head can use,
    # masking against over-fitting, and a stop when CER no longer falls: WER stays at 1 while a head
    # learns its first letters, and always where words are not parted. Dropout is left out, as they
    # did: masking does its work, and drawing its random numbers takes a CPU a fifth of a step.
    "model": "facebook/wav2vec2-base",
    "dataset": "PolyAI/minds14",
    "dataset_config": "en-US",
    "train_split": "train",
    "test_size": 0.2,
    "freeze": "feature_encoder",
    "dropout": 0.0,
    "mask_time_prob": 0.05,
    "batch_seconds": 64.0,
    "gradient_accumulation_steps": 2,
    "learning_rate": 2e-4,
    "warmup_steps": 0.1,
    "lr_scheduler_type": "linear",
    "adam_beta2": 0.98,
    "num_train_epochs": 40,
    "per_device_eval_batch_size": 8,
    **EVERY_EPOCH,
    "logging_steps": 10,
    **KEEP_BEST,
    "metric_for_best_model": "cer",
    "patience": 6,
}

QUICKSTART = {
    # Minutes on a laptop, without the Hub: the small embedded model learns from 84 sentences, each
    # time by another voice in another room. So few words change that letters tell what is best.
    "model": "embedded",
    "dataset": "sample",
    "train_split": "train",
    "freeze": "none",
    "batch_seconds": 24.0,
    "gradient_accumulation_steps": 1,
    "augment": "all",
    "learning_rate": 1e-4,
    "warmup_steps": 0.1,
    "lr_scheduler_type": "cosine",
    "adam_beta2": 0.98,
    "num_train_epochs": 8,
    "per_device_eval_batch_size": 8,
    **EVERY_EPOCH,
    "logging_steps": 10,
    **KEEP_BEST,
    "metric_for_best_model": "cer",
}

TEACH = {
    # A dozen sentences of one speaker, among others so that nothing else is forgotten. So few
    # clips cannot tell which step was best: the last is taken, and the rate ends at nothing.
    **QUICKSTART,
    "learning_rate": 3e-4,
    "num_train_epochs": 12,
    "eval_on_start": True,
    "eval_strategy": "steps",
    "eval_steps": 0.1,  # of the whole, as the next one
    "logging_steps": 0.02,
    "save_strategy": "no",
    "load_best_model_at_end": False,
}

PRESETS = {
    "recommended": RECOMMENDED,
    "guide": GUIDE,
    "quickstart": QUICKSTART,
    "teach": TEACH,
}
