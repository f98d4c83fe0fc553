"""Reports on verifications: lines of text for users, and objects for JSON with the schema apepack.schema.json."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from apepack.provenance.manifest import Manifest, ModelFacts, Origin
    from apepack.provenance.verification import Report

__all__ = ["verification_json", "verification_lines"]


def verification_lines(report: Report, *, members: bool = False) -> Iterator[str]:
    """Yield what REPORT says; with MEMBERS, each member, too."""
    yield f"{report.path}: {_verdict(report)}"
    for finding in report.findings:
        yield f"  {finding}"
    if report.manifest:
        yield _line("manifest", f"SHA-256 {report.manifest.sha256}")
    for signature in report.signatures:
        if signature.is_accepted:
            yield _line("signature", f"{signature.place}, made by the expected signer")
    if report.contents:
        yield from _content_lines(report.manifest or report.contents, members=members)


def _verdict(report: Report) -> str:
    faults = sum(finding.is_fault for finding in report.findings)
    if faults:
        return "1 fault" if faults == 1 else f"{faults} faults"
    return "everything holds" if report.manifest else "the archive is sound"


def _line(name: str, text: str) -> str:
    return f"  {name:9} {text}"


def _content_lines(manifest: Manifest, *, members: bool) -> Iterator[str]:
    """Yield the lines about MANIFEST: what it states, or what was found in a file without one."""
    yield from _origin_lines(manifest.origin)
    for program in manifest.programs:
        yield _line("program", f"{program.platform}, {program.size} bytes{_digest(program.sha256)}")
    for loader in manifest.loaders:
        yield _line("loader", f"{loader.platform}, {loader.size} bytes{_digest(loader.sha256)}")
    for model in manifest.models:
        digest = next((member.sha256 for member in manifest.members if member.name == model.member), "")
        yield _line("model", f"{model.member}{_model_text(model)}{_digest(digest)}")
    if not members:
        yield _line("members", f"{len(manifest.members)}")
        return
    for member in manifest.members:
        yield _line("member", f"{member.name}, {member.size} bytes{_digest(member.sha256)}")


def _digest(sha256: str) -> str:
    return f", SHA-256 {sha256}" if sha256.strip("0") else ""


def _origin_lines(origin: Origin) -> Iterator[str]:
    engine, toolchain = origin.engine, origin.toolchain
    if engine:
        digests = f"source {engine.source_sha256}, patches {engine.patches_sha256}"
        yield _line("engine", f"{engine.name} of {engine.version}, {digests}")
    if toolchain:
        tools = ", ".join(f"{name} {version}" for name, version in sorted(toolchain.tools.items()))
        yield _line("toolchain", f"{toolchain.version}, revision {toolchain.revision}, {tools}")


def _model_text(model: ModelFacts) -> str:
    source = f"from {model.source.repo}@{model.source.revision}" if model.source else None
    bases = [base.repo_url or base.name for base in model.base_models]
    base = f"based on {', '.join(filter(None, bases))}" if any(bases) else None
    licence = f"licence {model.license}" if model.license else None
    facts = [model.name, model.architecture, model.quantization, licence, base, source]
    return "".join(f", {fact}" for fact in facts if fact)


def verification_json(report: Report) -> dict[str, Any]:
    """Return the JSON object for REPORT."""
    return {
        "path": str(report.path),
        "ok": report.ok,
        "findings": [finding.as_dict() for finding in report.findings],
        "platforms": [program.platform for program in report.contents.programs] if report.contents else [],
        "manifest_sha256": report.manifest.sha256 if report.manifest else None,
        "manifest": json.loads(report.manifest.pack()) if report.manifest else None,
        "signatures": [
            {"place": signature.place, "key_ids": list(signature.key_ids), "accepted": signature.is_accepted}
            for signature in report.signatures
        ],
    }
