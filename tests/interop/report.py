"""The report of real runs opens in headless Chromium: without a message on the console, without a request, at a desktop's and a
phone's width, light and dark; its switches work, and what a hostile run writes stays text.

    python tests/interop/report.py [--data FOLDER] [--pictures FOLDER]

Makes two runs with the example `digits` (of the MNIST files in FOLDER, if that is given) and, if asked, the pictures of the README:

    python tests/interop/report.py --data path/to/mnist --pictures docs/pictures

Installs PyPI's `playwright`, and Debian's `chromium` if there is no Chromium or Chrome and this is root.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import common

common.need("playwright")

from playwright.sync_api import sync_playwright  # noqa: E402

SCREENS = {
    "desktop": {"viewport": {"width": 1440, "height": 1250}},
    "phone": {"viewport": {"width": 390, "height": 1250}, "device_scale_factor": 1.5, "is_mobile": True, "has_touch": True},
}
# not a function to wait for: the page's policy lets nothing be evaluated
DRAWN = "html[data-drawn]"
MOST_BYTES = 300_000


def browser():
    """A Chromium's path."""
    names = ["chromium", "chromium-browser", "google-chrome", "chrome"]
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        for command in (["update"], ["install", "--yes", "--no-install-recommends", "chromium", "fonts-dejavu-core"]):
            subprocess.run(["apt-get", "--quiet", *command], check=True, stdout=subprocess.DEVNULL)
        found = shutil.which("chromium")
    return found or sys.exit("there is no Chromium; install one")


def built(package, *what):
    """A program of the workspace, built."""
    subprocess.run(["cargo", "build", "--quiet", "-p", package, *what], cwd=common.ROOT, check=True)
    return pathlib.Path(os.environ.get("CARGO_TARGET_DIR", common.ROOT / "target")) / "debug"


def make_runs(folder, data):
    """Two runs that differ in their optimizer."""
    digits = os.environ.get("CATENA_DIGITS") or built("catena", "--example", "digits") / "examples" / "digits"
    shared = ["--data", data, "--batch", "128", "--epochs", "12"] if data else ["--epochs", "20"]
    shared += ["--threads", "1", "--profile"]
    runs = {"adamw": ["--optimizer", "adamw", "--lr", "1e-3"], "sgd": ["--optimizer", "sgd", "--lr", "0.05"]}
    for name, settings in runs.items():
        command = [digits, "--dir", folder / name, *shared, *settings]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return [folder / name for name in runs]


def make_hostile_run(folder):
    """A run whose every name would like to be a script, and which has all that a run may have."""
    evil = "</script><script>alert(1)</script><img src=http://127.0.0.1:9/x onerror=alert(2)>\"'"
    run = folder / "<img src=x onerror=alert(3)>"
    run.mkdir()
    machine = {"device": evil, evil: evil}
    (run / "run.json").write_text(json.dumps({"status": evil, "started": evil, "run": {"machine": machine}}))
    rows = []
    for epoch in range(1, 6):
        metrics = {evil: 1 / epoch, "loss": "nan" if epoch == 3 else epoch, "confusion_matrix": [[8, epoch], [1, 9]]}
        place = {"stage": evil, "epoch": epoch, "loader": evil, "global_step": epoch, "global_batch": epoch}
        rows.append(json.dumps({**place, "metrics": metrics}))
    (run / "metrics.jsonl").write_text("\n".join(rows) + "\n{\"cut")
    timing = {"time": "2026-01-02T03:04:05.000Z", "global_batch": 3, evil: {evil: 1}}
    (run / "timing.jsonl").write_text(json.dumps(timing) + "\n")
    (run / "trace.json").write_text(json.dumps([{"name": evil, "cat": evil, "ph": "X", "ts": 0, "dur": 5}]))
    return run


class Page:
    """A page in a browser, with all that it says and asks for."""

    def __init__(self, chromium, path, screen, scheme):
        self.context = chromium.new_context(color_scheme=scheme, **SCREENS[screen])
        self.page = self.context.new_page()
        self.said, self.asked, self.dialogs = [], [], []
        self.page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("dialog", lambda dialog: (self.dialogs.append(dialog.message), dialog.dismiss()))
        self.page.goto(path.as_uri())
        self.page.wait_for_selector(DRAWN, state="attached")

    def x(self):
        """What lies across the first chart, and what it is called."""
        return self.page.evaluate("(() => { const p = document.querySelector('.plot'); const i = p.data.length - 1;"
                                  "return [p.layout.xaxis.title.text, p.layout.yaxis.type, Array.from(p.data[i].x)] })()")

    def choose(self, selector):
        self.page.evaluate("delete document.documentElement.dataset.drawn")
        self.page.locator(selector).check(force=True)
        self.page.wait_for_selector(DRAWN, state="attached")

    def check(self, what):
        page = self.page
        charts = page.locator("figure.card").count()
        common.expect(f"{what}: every chart is drawn", page.locator("figure .main-svg").count() >= charts > 0, True)
        labels = [chart.get_attribute("aria-label") for chart in page.locator(".plot").all()]
        common.expect(f"{what}: every chart has a name", all(labels), True)
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        common.expect(f"{what}: nothing lies beside the screen", wide, 0)

    def texts(self, selector):
        return [found.strip() for found in self.page.locator(selector).all_text_contents()]

    def check_sections(self):
        """Every section shows what real runs wrote."""
        matrices = [f"valid/confusion_matrix: {run}" for run in ["adamw", "sgd"]]
        common.expect("a confusion matrix of each run", self.texts("#confusion figcaption"), matrices)
        diagonal = self.page.evaluate("Array.from(document.querySelectorAll('#confusion .plot')).map(p => p.data[0].z)"
                                      ".map(z => z.map((row, i) => row[i]).reduce((a, b) => a + b) / z.flat().reduce((a, b) => a + b))")
        common.expect("most of it on the diagonal", [0.9 < right <= 1 for right in diagonal], [True, True])
        speed = self.texts("#speed figcaption")
        for title in ["Memory (MiB)", "Samples a second", "Time by callback: adamw", "Time by event: sgd"]:
            common.expect(f"there is a chart `{title}`", title in speed, True)
        tables = self.texts("#speed caption")
        for title in ["Time by callback: sgd", "What was handed from the device to the host: adamw"]:
            common.expect(f"there is a table `{title}`", title in tables, True)
        differing = self.texts("#settings > .table tbody th")
        for param in ["params/lr", "params/optimizer"]:
            common.expect(f"`{param}` differs", param in differing, True)

    def close(self, what):
        common.expect(f"{what}: the console is silent", self.said, [])
        common.expect(f"{what}: nothing but the file is asked for", len(self.asked), 1)
        common.expect(f"{what}: no dialog", self.dialogs, [])
        self.context.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", help="a folder of MNIST files, in place of the digits")
    parser.add_argument("--pictures", type=pathlib.Path, help="where to write the README's pictures")
    arguments = parser.parse_args()
    catena = os.environ.get("CATENA") or built("catena-tools") / "catena"
    executable = browser()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        folder = pathlib.Path(folder)
        runs = make_runs(folder, arguments.data and os.path.abspath(arguments.data))
        both, hostile = folder / "report.html", folder / "hostile.html"
        subprocess.run([catena, "report", *runs, "-o", both], check=True)
        subprocess.run([catena, "report", make_hostile_run(folder), runs[0], "-o", hostile], check=True)
        common.expect("the page is below 5 MB", both.stat().st_size < 5_000_000, True)
        # a sandbox needs rights that root in a container lacks
        flags = ["--no-sandbox"] if os.geteuid() == 0 else []
        chromium = playwright.chromium.launch(executable_path=executable, args=flags)

        grounds = []
        for screen in SCREENS:
            for scheme in ["light", "dark"]:
                what = f"{screen}, {scheme}"
                page = Page(chromium, both, screen, scheme)
                page.check(what)
                grounds.append(page.page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))
                if arguments.pictures:
                    arguments.pictures.mkdir(parents=True, exist_ok=True)
                    picture = arguments.pictures / f"report-{screen}-{scheme}.png"
                    page.page.screenshot(path=picture)
                    common.expect(f"{picture} is small", picture.stat().st_size < MOST_BYTES, True)
                page.close(what)
        common.expect("light is not dark", (grounds[0] == grounds[2], grounds[0] == grounds[1]), (True, False))

        page = Page(chromium, both, "desktop", "light")
        page.check_sections()
        if arguments.pictures:
            picture = arguments.pictures / "report-confusion.png"
            page.page.locator("#confusion .cards").screenshot(path=picture)
            common.expect(f"{picture} is small", picture.stat().st_size < MOST_BYTES, True)
        page.close("sections")

        page = Page(chromium, both, "desktop", "light")
        steps, epochs = page.x(), None
        common.expect("steps lie across", (steps[0], steps[1]), ("step", "linear"))
        page.choose("input[value=epoch]")
        epochs = page.x()
        common.expect("then epochs", (epochs[0], epochs[2]), ("epoch", list(range(1, len(steps[2]) + 1))))
        page.choose("input[value=time]")
        times = page.x()
        common.expect("then time", times[0].endswith("since the start") and times[2] == sorted(times[2]), True)
        page.choose("#log")
        common.expect("on a log scale", page.x()[1], "log")
        page.page.locator(".plot .nsewdrag").first.hover()
        page.page.wait_for_selector(".hoverlayer text")
        hovered = page.page.locator(".hoverlayer").first.text_content()
        common.expect("the mouse shows values", "adamw · valid" in hovered, True)
        page.page.emulate_media(color_scheme="dark")
        grid = lambda: page.page.evaluate("document.querySelector('.plot').layout.xaxis.gridcolor")
        deadline = time.monotonic() + 30
        while grid() != "#2e333d" and time.monotonic() < deadline:
            page.page.wait_for_timeout(50)
        common.expect("charts follow when it gets dark", grid(), "#2e333d")
        page.close("switches")

        page = Page(chromium, hostile, "phone", "light")
        page.check("a hostile run")
        common.expect("its name is text", page.page.locator("h1").inner_text().startswith("<img src=x onerror"), True)
        page.close("a hostile run")
        chromium.close()


if __name__ == "__main__":
    main()
