"""Programs of ours import less; what others import into theirs stays as it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parent.parent
OPENED = """
import collections, sys
opened = collections.Counter()
sys.addaudithook(lambda event, given: event == "open" and opened.update([str(given[0])]))
"""


def said(program: str, before: str = "") -> str:
    command = [sys.executable, "-c", before + dedent(program)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout


def test_gradio_writes_no_type_hints_and_has_all_its_components():
    words = said(
        """
        from asr_core.start import quick_start
        with quick_start():
            import gradio
        print([path for path in opened if path.endswith(".pyi")], gradio.Textbox(label="a").label)
    """,
        before=OPENED,
    )
    assert words == "[] a\n"


def test_transformers_looks_through_its_models_once_and_needs_no_scipy():
    words = said(
        """
        from asr_core.start import quick_start
        with quick_start():
            from asr_core import Recognizer
        from transformers import Wav2Vec2ForCTC
        import transformers.models
        sources = [n for p, n in opened.items() if "/modeling_" in p and p.endswith(".py")]
        print(len(sources) > 300, len([n for n in sources if n > 1]) < 10)  # a few are looked into
        print([name for name in sys.modules if name == "scipy.optimize"])
    """,
        before=OPENED,
    )
    assert words == "True True\n[]\n"


def test_a_program_of_others_finds_the_libraries_as_they_are():
    words = said("""
        import sys
        from asr_core import Recognizer
        import transformers.loss.loss_for_object_detection as loss
        print([finder for finder in sys.meta_path if type(finder).__module__ == "asr_core.imports"])
        print(hasattr(loss, "linear_sum_assignment"))
    """)
    assert words == "[]\nTrue\n"


def test_a_library_that_is_otherwise_made_is_imported_all_the_same(tmp_path):
    package = tmp_path / "gradio"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "component_meta.py").write_text("made = 'otherwise'\n")
    (tmp_path / "transformers" / "utils").mkdir(parents=True)
    for name in ("__init__.py", "utils/__init__.py", "utils/import_utils.py"):
        (tmp_path / "transformers" / name).touch()
    words = said(f"""
        import sys
        sys.path.insert(0, {str(tmp_path)!r})
        from asr_core.imports import lean
        lean()
        import gradio.component_meta
        import transformers.utils.import_utils
        print(gradio.component_meta.made)
    """)
    assert words == "otherwise\n"


def test_the_compiler_is_imported_when_something_is_compiled():
    words = said("""
        from asr_core.start import quick_start
        with quick_start():
            from asr_core import Recognizer
            recognizer = Recognizer("embedded")
        import os, sys
        import numpy as np
        recognizer.transcribe((16000, np.zeros(16000, np.float32)))
        print("torch._dynamo.utils" in sys.modules)

        import torch
        compiled = []

        def listen(x):
            compiled.append(torch.compiler.is_compiling())
            return x

        @torch.compiler.allow_in_graph
        def plus(x):
            open(os.devnull).close()  # which the compiler could not follow
            return x + 1

        alone = torch.compiler.disable(listen)
        same = torch.compiler.disable(recursive=False)(lambda x: x)
        alone(torch.ones(1))
        print("torch._dynamo.utils" in sys.modules, compiled)

        double = torch.compile(lambda x: plus(same(alone(x))) * 2, backend="eager")
        print(double(torch.ones(1)).item(), compiled)
        whole = torch.compile(lambda x: plus(x) * 3, backend="eager", fullgraph=True)
        print(whole(torch.ones(1)).item())
        import torch._dynamo.utils as utils
        print(utils is sys.modules["torch._dynamo.utils"] is torch._dynamo.utils)
    """)
    assert words == "False\nFalse [False]\n4.0 [False, False]\n6.0\nTrue\n"


def test_a_part_of_the_compiler_brings_all_of_it():
    words = said("""
        from asr_core.imports import lean
        lean()
        import torch._dynamo
        from torch._dynamo.eval_frame import OptimizedModule
        from torch._dynamo._trace_wrapped_higher_order_op import TransformGetItemToIndex
        print(torch._dynamo.eval_frame.OptimizedModule is OptimizedModule)
        print(TransformGetItemToIndex)
        print(torch._dynamo.disable.__module__)
    """)
    assert words.split() == [
        "True",
        "<class",
        "'torch._dynamo._trace_wrapped_higher_order_op.TransformGetItemToIndex'>",
        "torch._dynamo.decorators",
    ]
