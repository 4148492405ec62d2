"""Unpacks what matches of a wheel: headers keep their folders, libraries lie side by side in lib/.

python3 -c THIS WHEEL FOLDER PATTERN...
"""
import fnmatch
import os
import shutil
import sys
import zipfile

wheel, folder, patterns = sys.argv[1], sys.argv[2], sys.argv[3:]
unmatched = set(patterns)
with zipfile.ZipFile(wheel) as archive:
    for entry in archive.infolist():
        hits = [pattern for pattern in patterns if fnmatch.fnmatchcase(entry.filename, pattern)]
        if entry.is_dir() or not hits:
            continue
        unmatched.difference_update(hits)
        if entry.filename.startswith("torch/include/"):
            path = os.path.join(folder, entry.filename[len("torch/"):])
        else:
            path = os.path.join(folder, "lib", os.path.basename(entry.filename))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        # "x": two files of one name would be a mistake in the patterns.
        with archive.open(entry) as packed, open(path, "xb") as file:
            shutil.copyfileobj(packed, file, 1 << 20)
if unmatched:
    sys.exit("nothing in it is called " + ", ".join(sorted(unmatched)))
