"""How the embedded model and sample were made, to make better ones with the same commands.

python -m asr_core.recipe synthesize --text DIR --output DIR --hours 40
python -m asr_core.recipe pretrain --speech DIR --synthetic DIR --noise DIR --output DIR \\
    --moonshine MODEL
python -m asr_core.recipe grow MODEL --layers 8 --output DIR
python -m asr_core.recipe average MODEL MODEL --output DIR
python -m asr_core.recipe export --checkpoint DIR --output DIR
python -m asr_core.recipe language-model --text DIR --speech DIR --output DIR
python -m asr_core.recipe sample
"""
