"""`catena watch` in a real pseudo-terminal: it draws, follows a run that grows, is resized, obeys keys and signals, and gives the
terminal back as it was.

    python tests/interop/watch.py                           tests it on a run that this program makes up
    python tests/interop/watch.py --picture RUN FILE.png    makes a picture of it on a real run, such as the README's

Makes a virtual environment with PyPI's `pyte` (and `pillow` and `matplotlib`, whose font draws the picture).
"""

import argparse
import fcntl
import json
import os
import pathlib
import pty
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time

import common

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--picture", nargs=2, metavar=("RUN", "FILE"))
parser.add_argument("--size", default="132x36", help="columns and rows of the picture [132x36]")
parser.add_argument("--keys", default="", help="keys to press before the picture is made")
options = parser.parse_args()
if options.picture:
    common.need("pyte", "PIL", "matplotlib", packages=["pyte", "pillow", "matplotlib"])
else:
    common.need("pyte")

import pyte  # noqa: E402


def catena():
    """The program, built."""
    if "CATENA" in os.environ:
        return os.environ["CATENA"]
    subprocess.run(["cargo", "build", "--quiet", "-p", "catena-tools"], cwd=common.ROOT, check=True)
    target = os.environ.get("CARGO_TARGET_DIR", common.ROOT / "target")
    return str(pathlib.Path(target) / "debug" / "catena")


class Terminal:
    """A pseudo-terminal with a program in it."""

    def __init__(self, command, columns, rows, controlling=True, **environment):
        self.screen = pyte.Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.bytes = b""
        self.master, self.slave = pty.openpty()
        self.resize(columns, rows)
        self.before = termios.tcgetattr(self.slave)
        variables = {**os.environ, "TERM": "xterm", "NO_COLOR": "", **environment}
        # a session of its own, so that the terminal is its terminal
        self.process = subprocess.Popen(
            command, stdin=self.slave, stdout=self.slave, stderr=self.slave, env=variables, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0) if controlling else None,
        )  # fmt: skip

    def resize(self, columns, rows):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen.resize(rows, columns)
        if hasattr(self, "process"):
            self.process.send_signal(signal.SIGWINCH)

    def read(self, seconds):
        """Shows what comes within so many seconds."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if select.select([self.master], [], [], left)[0]:
                new = os.read(self.master, 1 << 16)
                self.bytes += new
                self.stream.feed(new)

    def text(self):
        return "\n".join(self.screen.display)

    def until(self, what, part, seconds=20):
        """Waits until the screen has it."""
        end = time.monotonic() + seconds
        while part not in self.text():
            if time.monotonic() > end or self.process.poll() is not None:
                sys.exit(f"FAILED: {what}: no {part!r} on\n{self.text()}")
            self.read(0.1)
        print(f"ok: {what}")

    def press(self, keys):
        os.write(self.master, keys.encode())

    def ends(self, what, status):
        """Waits for its end, with this status, and looks whether the terminal is as it was."""
        end = time.monotonic() + 10
        while self.process.poll() is None and time.monotonic() < end:
            self.read(0.05)
        self.read(0.2)
        common.expect(f"{what}: exit status", self.process.poll(), status)
        common.expect(f"{what}: the terminal's modes", termios.tcgetattr(self.slave), self.before)
        last = {name: max(self.bytes.rfind(on), 0) < self.bytes.rfind(off) for name, on, off in SWITCHES}
        common.expect(f"{what}: what was switched on is off", last, {"screen": True, "cursor": True})
        for end in (self.master, self.slave):
            os.close(end)


# the alternate screen, and the cursor, which is shown when the program ends
SWITCHES = [("screen", b"\x1b[?1049h", b"\x1b[?1049l"), ("cursor", b"\x1b[?25l", b"\x1b[?25h")]


class Run:
    """A made-up run that grows."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        (self.folder / "checkpoints").mkdir(parents=True)
        loaders = [{"name": "train", "mode": "train", "batches": 100}]
        run = {"stages": [{"name": "s", "epochs": 10, "loaders": loaders}]}
        self.write("run.json", json.dumps({"status": "running", "started": "2026-01-02T03:04:05Z", "run": run}))

    def write(self, name, text, mode="w"):
        with open(self.folder / name, mode) as file:
            file.write(text)

    def steps(self, first, last, mode="a"):
        rows = []
        for step in range(first, last + 1):
            loss = struct.pack(">d", 1 / step).hex()
            row = {"stage": "s", "epoch": (step - 1) // 100 + 1, "global_batch": step, "global_step": step}
            rows.append(json.dumps({**row, "ids": "00", "lr": 0.1, "loss": loss}) + "\n")
        self.write("journal.jsonl", "".join(rows), mode)

    def metrics(self, text):
        self.write("metrics.jsonl", text, "a")


def content(folder):
    """All files with what they hold."""
    return {path: path.read_bytes() for path in sorted(pathlib.Path(folder).rglob("*")) if path.is_file()}


def test(program, folder):
    run = Run(f"{folder}/run")
    run.steps(1, 250)
    command = [program, "watch", str(run.folder)]

    terminal = Terminal(command, 80, 24)
    terminal.until("it draws", "epoch 3/10")
    terminal.until("the last step", "step 250")
    run.steps(251, 420)
    terminal.until("it follows what grows", "step 420")
    row = json.dumps({"stage": "s", "epoch": 3, "loader": "valid", "global_step": 300, "global_batch": 300, "metrics": {"auc": 0.75}})
    run.metrics(row[:40])
    terminal.read(1.5)
    common.expect("half a line is waited for", "can't be read" in terminal.text() or "auc" in terminal.text(), False)
    run.metrics(row[40:] + "\n")
    terminal.until("and read when it is whole", "auc")
    terminal.press("\t")
    terminal.until("tab chooses the next metric", "valid 0.7500 ─")
    run.steps(1, 310, mode="w")
    terminal.until("it goes back with a run that is set back", "step 310")

    terminal.resize(120, 40)
    terminal.until("wider", "┐┌ last values")
    terminal.resize(50, 10)
    terminal.until("too small", "terminal too small")
    terminal.resize(60, 16)
    terminal.until("small", "epoch 4/10")
    terminal.press("?")
    terminal.until("help", "Keys")
    terminal.press("?p")
    terminal.until("pause", "PAUSED")
    run.steps(311, 333)
    terminal.read(1.5)
    common.expect("the picture stands still", "step 310" in terminal.text(), True)
    terminal.press("p")
    terminal.until("and goes on", "step 333")
    before = content(run.folder)
    terminal.read(1.5)
    common.expect("looking changes nothing", content(run.folder), before)
    common.expect("keys come one by one", termios.tcgetattr(terminal.slave) != terminal.before, True)
    terminal.press("q")
    terminal.ends("q", 0)

    terminal = Terminal(command, 80, 24)
    terminal.until("again", "step 333")
    terminal.press("\x03")
    terminal.ends("Ctrl-C", 0)
    for number in [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]:
        terminal = Terminal([*command, "--ascii"], 80, 24)
        terminal.until("with --ascii", "step 333")
        common.expect("nothing but ASCII", terminal.text().isascii(), True)
        terminal.process.send_signal(number)
        terminal.ends(number.name, -number)

    for controlling, status in [(True, -signal.SIGHUP), (False, 2)]:
        terminal = Terminal(command, 80, 24, controlling)
        terminal.until("again", "step 333")
        for end in (terminal.master, terminal.slave):
            os.close(end)
        common.expect("it ends with its terminal: exit status", terminal.process.wait(10), status)

    dumb = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    common.expect("off a terminal: exit status", dumb.returncode, 2)
    common.expect("off a terminal: one line", (dumb.stdout, dumb.stderr.count("\n")), ("", 1))


def picture(program, run, file):
    columns, rows = map(int, options.size.split("x"))
    path = pathlib.Path(run)
    terminal = Terminal([program, "watch", path.name], columns, rows)
    terminal.until("it draws", "epoch")
    terminal.read(3)
    terminal.press(options.keys)
    terminal.read(2)
    draw(terminal.screen, file)
    terminal.press("q")
    terminal.ends("q", 0)


# pyte's names of the eight colours, and how they look on a dark ground
COLOURS = {
    "default": "#d5d9e0", "000000": "#1b1f27", "cd0000": "#f2777a", "00cd00": "#8fc97b", "cdcd00": "#e6c067",
    "0000ee": "#5c86d6", "cd00cd": "#c792ea", "00cdcd": "#5fc9d3", "e5e5e5": "#d5d9e0",
}  # fmt: skip
GROUND = "#14171d"


def draw(screen, file):
    """Draws the cells of a screen; braille dot by dot, for fonts draw it too faint."""
    from matplotlib import font_manager
    from PIL import Image, ImageDraw, ImageFont

    size = 20
    path = lambda weight: font_manager.findfont(font_manager.FontProperties(family="DejaVu Sans Mono", weight=weight))
    plain, bold = (ImageFont.truetype(path(weight), size) for weight in ["normal", "bold"])
    width, height = round(plain.getlength("M")), 24
    image = Image.new("RGB", (screen.columns * width + 2 * size, screen.lines * height + 2 * size), GROUND)
    canvas = ImageDraw.Draw(image)
    dots = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3)]
    for row in range(screen.lines):
        for column in range(screen.columns):
            cell = screen.buffer[row][column]
            ink, ground = COLOURS.get(cell.fg, COLOURS["default"]), COLOURS.get(cell.bg, GROUND)
            ground = GROUND if cell.bg == "default" else ground
            if cell.reverse:
                ink, ground = ground, ink
            x, y = size + column * width, size + row * height
            if ground != GROUND:
                canvas.rectangle([x, y, x + width - 1, y + height - 1], fill=ground)
            if 0x2800 <= ord(cell.data[0]) < 0x2900:
                for bit, (i, j) in enumerate(dots):
                    if (ord(cell.data[0]) - 0x2800) >> bit & 1:
                        at = (x + 1 + i * width / 2, y + 1 + j * height / 4)
                        canvas.ellipse([*at, at[0] + 3.4, at[1] + 3.4], fill=ink)
            else:
                canvas.text((x, y), cell.data, fill=ink, font=bold if cell.bold else plain)
    pathlib.Path(file).parent.mkdir(parents=True, exist_ok=True)
    image.quantize(64).save(file, optimize=True)


if options.picture:
    run, file = options.picture
    file = pathlib.Path(file).resolve()
    os.chdir(pathlib.Path(run).resolve().parent)
    picture(catena(), run, file)
else:
    with tempfile.TemporaryDirectory() as folder:
        test(catena(), folder)
