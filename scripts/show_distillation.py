#!/usr/bin/env python3
"""Distil two real teachers and print the tables of docs/reference/distill.md.

    scripts/show_distillation.py [--folder DIR] [--most N]

Needs the extras distill and classical, and for the texts a Debian or Ubuntu with apt, whose
packages fortunes and fortunes-min are downloaded and unpacked, not installed.

The digits: models/digits-cnn is the teacher, scikit-learn's digits without their labels are the
data. The texts: which file of `fortune` a text stands in is its class. MiniLM (minilm-l6-v2) with a
linear layer on it, trained here on half of the texts, is the teacher; students see texts alone.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from edge.workflows.distill import distill
from edge.workflows.distill_request import DistillRequest
from edge.workflows.models import resolve_model

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("fortunes", "fortunes-min")
CLASSES = (
    "art",
    "computers",
    "definitions",
    "men-women",
    "politics",
    "science",
    "songs-poems",
    "startrek",
    "work",
    "zippy",
)
# More texts of the same kind: nobody says what they are about.
OTHERS = ("cookie", "people", "wisdom", "miscellaneous", "platitudes", "linux", "law", "literature")
TOKENS = 64
LEAST_CHARACTERS, TESTED_PART, TAUGHT_PART = 25, 0.25, 0.5
ROUNDS, QUERIES = 40, 10
DIGITS_STUDENTS = ("cnn:8,16", "cnn:8,8", "mlp:32", "mlp:16", "mobile:4")
TEXT_STUDENTS = ("bag:64", "transformer:2,64,2")


def main() -> None:
    """Distil, and print one Markdown table for each teacher."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="keep the files here")
    parser.add_argument("--most", type=int, help="use at most so many unlabelled texts")
    parser.add_argument("--only", choices=("digits", "texts"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        if arguments.only != "texts":
            show_digits(folder)
        if arguments.only != "digits":
            show_texts(folder, arguments.most)


def show_digits(folder: Path) -> None:
    """Distil the default model on digits without labels."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    images = (digits.images / 16).astype(np.float32)[:, None, None]
    train, test, _, labels = train_test_split(
        images, digits.target, test_size=450, random_state=0, stratify=digits.target
    )
    np.savez(folder / "digits.npz", **{"input.input": train})
    np.savez(folder / "digits-test.npz", **{"input.input": test, "labels": labels})
    teacher = ROOT / "models" / "digits-cnn" / "digits-cnn-fp32.onnx"
    feeds = {"input": test[0]}
    rows = []
    for student in DIGITS_STUDENTS:
        request = DistillRequest(
            teacher=str(teacher),
            student=student,
            data=folder / "digits.npz",
            evaluate=folder / "digits-test.npz",
            output=folder / f"digits-{student.replace(':', '-').replace(',', '-')}.onnx",
            shapes={},
            threads=1,
        )
        rows.append(row(request, teacher, feeds))
    print_table("digits-cnn", rows)


def show_texts(folder: Path, most: int | None) -> None:
    """Train a teacher on texts with classes, and distil it on texts without."""
    minilm = resolve_model("minilm-l6-v2").path
    tokenizer = minilm.parent / "tokenizer.json"
    texts = fortunes(folder)
    labelled = [(text, CLASSES.index(name)) for name in CLASSES for text in texts[name]]
    random.Random(0).shuffle(labelled)
    tested, taught = (int(part * len(labelled)) for part in (TESTED_PART, TAUGHT_PART))
    test, train = labelled[:tested], labelled[tested : tested + taught]
    plain = [text for text, _ in labelled[tested:]] + [t for name in OTHERS for t in texts[name]]
    random.Random(1).shuffle(plain)
    write_lines(folder / "texts.jsonl", [{"text": text} for text in plain[:most]])
    write_lines(folder / "test.jsonl", [{"text": text, "label": label} for text, label in test])
    print(f"{len(train)} texts teach, {len(test)} test, {len(plain[:most])} have no label")
    teacher = folder / "teacher.onnx"
    write_teacher(minilm, tokenizer, train, teacher)
    feeds = tokens(tokenizer, test[0][0])
    shapes = dict.fromkeys(feeds, (1, TOKENS))
    rows = []
    for student in TEXT_STUDENTS:
        request = DistillRequest(
            teacher=str(teacher),
            student=student,
            data=folder / "texts.jsonl",
            evaluate=folder / "test.jsonl",
            output=folder / f"texts-{student.replace(':', '-').replace(',', '-')}.onnx",
            shapes=shapes,
            tokenizer=tokenizer,
            threads=2,
        )
        rows.append(row(request, teacher, feeds))
    print_table("MiniLM and a linear layer, fortunes by file", rows)


def fortunes(folder: Path) -> dict[str, list[str]]:
    """Download the packages and return the texts of each file; each text once."""
    where = folder / "fortunes"
    if not where.is_dir():
        subprocess.run(["apt-get", "download", *PACKAGES], cwd=folder, check=True)
        for package in sorted(folder.glob("fortunes*.deb")):
            subprocess.run(["dpkg-deb", "-x", package, where], check=True)
    found: dict[str, list[str]] = {}
    seen = set()
    for name in (*CLASSES, *OTHERS):
        text = (where / "usr/share/games/fortunes" / name).read_text(encoding="utf-8")
        entries = [" ".join(entry.split()) for entry in re.split(r"^%$", text, flags=re.MULTILINE)]
        kept = [e for e in entries if len(e) >= LEAST_CHARACTERS and e not in seen]
        seen.update(kept)
        found[name] = kept
    return found


def write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write JSON Lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def tokens(tokenizer: Path, text: str) -> dict[str, np.ndarray[Any, Any]]:
    """Return one text as MiniLM takes it, padded."""
    from edge.device.tokens import WordPiece

    words = WordPiece(str(tokenizer)).ids(text, TOKENS)
    ids = np.zeros((1, TOKENS), np.int64)
    ids[0, : len(words)] = words
    mask = np.zeros_like(ids)
    mask[0, : len(words)] = 1
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}


def write_teacher(minilm: Path, tokenizer: Path, train: list[tuple[str, int]], path: Path) -> None:
    """Train a linear layer on MiniLM's embeddings of labelled texts and append it to the file."""
    import onnx
    import onnxruntime
    import torch

    session = onnxruntime.InferenceSession(str(minilm), providers=["CPUExecutionProvider"])
    embedded = np.stack([session.run(None, tokens(tokenizer, text))[0][0] for text, _ in train])
    torch.manual_seed(0)
    inputs, labels = torch.tensor(embedded), torch.tensor([label for _, label in train])
    layer = torch.nn.Linear(inputs.shape[1], len(CLASSES))
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=300, line_search_fn="strong_wolfe")

    def closure() -> Any:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(layer(inputs), labels)
        loss = loss + 3e-4 * (layer.weight**2).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    model = onnx.load(str(minilm))
    graph = model.graph
    for name, array in (
        ("head.weight", layer.weight.detach().numpy()),
        ("head.bias", layer.bias.detach().numpy()),
    ):
        graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    inputs_of_head = [graph.output[0].name, "head.weight", "head.bias"]
    graph.node.append(onnx.helper.make_node("Gemm", inputs_of_head, ["logits"], transB=1))
    del graph.output[:]
    shape = ["batch", len(CLASSES)]
    graph.output.append(onnx.helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, shape))
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def row(request: DistillRequest, teacher: Path, feeds: dict[str, Any]) -> tuple[str, ...]:
    """Distil, time teacher and student in turns, and return a row of the table."""
    begun = time.perf_counter()
    result = distill(request, lambda _part: None)
    took = time.perf_counter() - begun
    faster = times_as_fast(teacher, request.output, feeds)
    print(f"{request.student}: {took:.0f} s, {len(result.epochs)} epochs", file=sys.stderr)
    judged = result.evaluation
    assert judged is not None
    assert judged.teacher is not None
    assert judged.student is not None
    assert judged.lost is not None
    before, after = result.teacher, result.student
    lost = judged.lost
    return (
        f"`{request.student}`",
        f"{part(judged.teacher)}",
        f"{part(judged.student)}",
        f"{100 * lost.value:.1f} ({100 * lost.low:.1f} to {100 * lost.high:.1f})",
        f"{100 * (judged.agreement.top1 or 0):.1f} %",
        f"{count(before.parameters)} → {count(after.parameters)}",
        f"{count(before.macs)} → {count(after.macs)}",
        f"{before.model.file_bytes / after.model.file_bytes:.1f}",
        f"{faster:.1f}",
        f"{took:.0f} s, {epochs(result)}",
    )


def epochs(result: Any) -> str:
    """Say how many were run."""
    return f"{len(result.epochs)} epochs"


def part(accuracy: Any) -> str:
    """Say an accuracy with its interval."""
    low, high = 100 * accuracy.low, 100 * accuracy.high
    return f"{100 * accuracy.value:.1f} % ({low:.1f} to {high:.1f})"


def count(number: int | None) -> str:
    """Say a large number."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if number is not None and number >= size:
            return f"{number / size:.3g} {unit}"
    return str(number)


def times_as_fast(teacher: Path, student: Path, feeds: dict[str, Any]) -> float:
    """Return the median over rounds of the ratio of latencies, the two in turns, one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    sessions = [
        onnxruntime.InferenceSession(str(p), options, providers=["CPUExecutionProvider"])
        for p in (teacher, student)
    ]
    ratios = []
    for _ in range(ROUNDS):
        medians = []
        for session in sessions:
            times = []
            for _ in range(QUERIES):
                begun = time.perf_counter_ns()
                session.run(None, feeds)
                times.append(time.perf_counter_ns() - begun)
            medians.append(float(np.median(times)))
        ratios.append(medians[0] / medians[1])
    return float(np.median(ratios))


def print_table(title: str, rows: list[tuple[str, ...]]) -> None:
    """Print rows in Markdown."""
    heads = (
        "student",
        "teacher right",
        "student right",
        "points lost",
        "same class",
        "parameters",
        "MACs",
        "smaller",
        "faster",
        "took",
    )
    print(f"\n{title}\n")
    for cells in (heads, ("---",) * len(heads), *rows):
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
