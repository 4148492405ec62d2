"""Makes demo.svg, the README's picture, from what `cargo xtask demo` prints.

Run it in a clone in which the demo has run once; needs the package rich from PyPI: `python docs/make_demo_picture.py`.
"""

import io
import pathlib
import re
import subprocess

from rich.console import Console
from rich.text import Text

here = pathlib.Path(__file__).parent
run = subprocess.run(
    ["cargo", "xtask", "demo", "--", "--epochs", "4"],
    cwd=here.parent, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True,
)
lines = run.stdout.splitlines()
first = next(i for i, line in enumerate(lines) if line.startswith("digits"))
lines = [line for line in lines[first:] if not line.startswith("training with")]
console = Console(record=True, width=max(map(len, lines)) + 1, file=io.StringIO())
console.print(Text("$ cargo xtask demo -- --epochs 4", style="bold"))
for line in lines:
    console.print(Text(line), style="bold green" if "bit-identical" in line else "")
svg = console.export_svg(title="catena")
svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)  # no fonts from elsewhere
(here / "demo.svg").write_text(svg.replace("Fira Code", "ui-monospace, Menlo, Consolas"))
