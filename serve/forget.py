"""Erasing customers from everything that a workspace holds (GDPR, article 17), all at once, with a receipt.

Every artifact that one of them is in is written anew beside, under the same name and key, checked in full, and put in
place together with all others (`store.rewrite`). The register of erasures then keeps them from coming back.
"""

import secrets
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from configs.errors import ConflictError, InputError, KinfolkError
from configs.progress import SILENT, Progress
from embed.artifact import Embeddings
from eventlog.erase import Values, blank_model, erase_logs, models_to_blank
from eventlog.run import SHARDS, SPOOL
from eventlog.sequences import EventLog
from serve.audiences import writing
from serve.catalogues import open_catalogue
from serve.erase import Taken, erase_audiences, erase_nights, erase_saved
from serve.erase_snapshots import check, erase_snapshots
from serve.erasure_search import search, search_store
from serve.retention import finish_pruning
from store.artifact import MANIFEST
from store.catalogue import Catalogue
from store.erasures import WHOLE_NUMBER, Erasures, Named, fingerprint, go_on, objections_of, write_receipt
from store.remote import RemoteWorkspace
from store.rewrite import JOURNAL, Rewrite
from store.workspace import Workspace

ACTOR = "cli"
LEFT = (".part", ".old", ".training")
"""What killed runs leave behind ends so."""
KEPT = (
    (
        "the bank's own source files and database",
        "kinfolk only reads them; a customer's events there are not read again",
    ),
    ("exports and audiences handed out before", "they lie outside the workspace; ask whoever has them"),
    ("weights of models", "they hold no record of a single customer, but were trained with them: `kinfolk retrain`"),
    ("figures over many customers, pictures of segments handed out", "nobody can be singled out in them"),
    ("hashes of event ids and of whole seed lists", "whose they were is kept nowhere; they name no customer"),
    ("backups, logs of the service and of the scheduler", "they lie outside the workspace, with terms of their own"),
)
IN_STORE = (
    ("old versions of objects", "the store's rules decide how long it keeps them, where it keeps them at all"),
    ("mirrors on other machines", "each lets go of what is gone when it is next used; a service does at once"),
)
UNFINISHED = (
    "The erasure is not finished: what the store holds of these customers may still be there. A register of erasures "
    "in PostgreSQL names them already, so that no new event of theirs is read; start the same command again to finish"
)
POSTGRESQL = (
    "dead rows of PostgreSQL",
    "rows of the register of objections are deleted; VACUUM by whoever runs the database frees their bytes",
)


@dataclass(frozen=True)
class _Asked:
    who: Named
    ids: tuple[str, ...]
    """As the register keeps them: whole numbers in their one text form where a log's ids are numbers."""
    known: int
    """Those that some artifact, or the register of objections, held."""


def forget(
    workspace: Workspace, customers: Iterable[int | str], progress: Progress = SILENT, actor: str = ACTOR
) -> dict[str, Any]:
    """Erase customers from a workspace, and return the receipt. Audited, without ids.

    Ids that nothing knows are registered too, so that they stay out should they be delivered. Raises InputError where
    none is given or a population would be left without anybody, ConflictError where another job holds the workspace,
    ArtifactError where an artifact is damaged, StorageError on a full disk; then nothing has changed.
    """
    given = [text for customer in customers if (text := str(customer)).strip()]
    if not given:
        raise InputError("whom to forget? Give ids of customers, or a file with a column customer_id by --from")
    with ExitStack() as stack:
        stack.enter_context(workspace.lock())
        catalogue = stack.enter_context(open_catalogue(workspace))
        _finish_before(workspace, catalogue)
        finish_pruning(workspace, catalogue, actor)
        who, texts = _named(workspace, given)
        receipt = _erased(workspace, catalogue, who, texts, progress, actor, stack)
    with progress.task("Searching every byte", None):
        searched = search(workspace, who)
    told = {"found": list(searched.found), "unread": list(searched.unread)}
    receipt["search"] = {"files": searched.files, "bytes": searched.size, **told}
    write_receipt(workspace.root, receipt)
    return receipt


def finish_in_store(
    remote: RemoteWorkspace, customers: Iterable[int | str], receipt: dict[str, Any], progress: Progress = SILENT
) -> None:
    """Take an erasure on to the object store of a workspace, and search what is there; added to the receipt.

    For a writer who is alone and has everything pulled. The receipt does not say that it is done before what was erased
    is gone from there. Raises BusyError where the lease was lost, StorageError; then the erasure is to be asked for
    again, and says so.
    """
    receipt["store"] = None
    write_receipt(remote.local.root, receipt)
    try:
        remote.push_now(progress)
    except KinfolkError as error:
        error.add_note(UNFINISHED)
        raise
    with progress.task("Searching the object store", None):
        given = [text for customer in customers if (text := str(customer)).strip()]
        found = search_store(remote, _named(remote.local, given)[0])
    told = {"found": list(found.found), "unread": list(found.unread)}
    receipt["store"] = {"url": remote.url, "others": found.files, "bytes": found.size, **told}
    receipt["untouched"] += [{"what": what, "why": why} for what, why in IN_STORE]
    write_receipt(remote.local.root, receipt)


def allow(workspace: Workspace, customers: Iterable[int | str], actor: str = ACTOR) -> int:
    """Let customers come back who were erased, as new ones; returns how many were in the register. Audited."""
    texts = tuple(dict.fromkeys(form for id in customers for form in (str(id), str(id).strip())))
    with workspace.lock(), open_catalogue(workspace) as catalogue:
        _finish_before(workspace, catalogue)
        ids = dict.fromkeys((*texts, *_as_registered(texts, {pl.Int64()})))
        return Erasures(catalogue).allow(list(ids), actor=actor)


def _finish_before(workspace: Workspace, catalogue: Catalogue) -> None:
    """Finish an erasure that was killed after its files were swapped."""
    go_on(workspace.root, catalogue)
    if (workspace.root / JOURNAL).exists():
        raise ConflictError(
            f"{workspace.root}: an erasure was not finished since it belongs to another catalogue; set "
            "KINFOLK_CATALOGUE to the one that it was begun with and start again"
        )


def _erased(
    workspace: Workspace,
    catalogue: Catalogue,
    who: Named,
    texts: tuple[str, ...],
    progress: Progress,
    actor: str,
    stack: ExitStack,
) -> dict[str, Any]:
    register, rewrite, id = Erasures(catalogue), Rewrite(workspace.root), f"e-{secrets.token_hex(8)}"
    try:
        asked = _asked(workspace, catalogue, who, texts)
        with progress.task("Erasing from event logs", None):
            logs, blanked = erase_logs(rewrite, _folders(workspace.eventlogs), who, id)
        taken = [
            Taken(
                f"eventlog/{log.key}",
                {"customers": log.customers, "events": log.events, "quarantined": log.quarantined},
            )
            for log in logs
        ]
        taken += _models(rewrite, workspace, blanked)
        taken += erase_snapshots(rewrite, workspace, who, blanked, progress)
        taken += erase_nights(rewrite, workspace, who)
        # a running service makes audiences without the workspace's lock: none while they are rewritten
        stack.enter_context(writing(workspace))
        audiences, now = erase_audiences(rewrite, workspace, who)
        taken += audiences + erase_saved(rewrite, workspace, who, now)
        taken += _leftovers(rewrite, workspace)
        with progress.task("Checking what was written", None):
            check(rewrite, workspace)
        receipt = _receipt(id, catalogue, register.hashes(asked.ids), asked, texts, taken, actor)
        receipt["models"] = [path.name for path in _folders(workspace.models)]
        receipt["removed"] += _objections(catalogue, receipt["hashes"], who)
        told = {"catalogue": fingerprint(register.salt()), "whole": who.whole, "bare": who.bare}
        facts = {"receipt": receipt, "audiences": now, **told}
    except BaseException:
        rewrite.drop()
        raise
    rewrite.commit(facts)
    go_on(workspace.root, catalogue)
    return receipt


def _asked(workspace: Workspace, catalogue: Catalogue, who: Named, texts: tuple[str, ...]) -> _Asked:
    """How the register keeps the ids, and how many of them are known to anything."""
    types, known = set(), set[str]()
    for population in _populations(workspace):
        types.add(population.dtype)
        known |= {str(id) for id in population.filter(pl.Series(who.among(population))).to_list()}
    ids = _as_registered(texts, types)
    hashes = Erasures(catalogue).hashes(ids)
    register = {id for id, hash in zip(ids, hashes, strict=True) if objections_of(catalogue, [hash], who)}
    met = known | register
    return _Asked(who, ids, len({id.strip() for id in met} if who.bare else met))


def _named(workspace: Workspace, given: Sequence[str]) -> tuple[Named, tuple[str, ...]]:
    """Whom ids name, and the ids as they are looked for.

    Without space around where that tells all customers apart; else as they were given where somebody is known by that.
    """
    bare, known = True, set[str]()
    for population in _populations(workspace):
        if population.dtype == pl.String:
            stripped = population.str.strip_chars()
            bare = bare and bool((stripped == population).all() or stripped.n_unique() == len(population))
            known |= set(population.filter(population.is_in(pl.Series(given).implode())).to_list())
    texts = tuple(dict.fromkeys(text if text in known and not bare else text.strip() for text in given))
    return Named(frozenset(texts), _whole(workspace), bare), texts


def _whole(workspace: Workspace) -> bool:
    """Whether customers are known by whole numbers alone, or by nothing yet."""
    return all(population.dtype == pl.Int64 for population in _populations(workspace))


def _populations(workspace: Workspace) -> Iterable[pl.Series]:
    for folder in _folders(workspace.eventlogs):
        yield EventLog.load(folder, deep=False).customers
    for name in workspace.published():
        yield Embeddings.load(workspace.snapshots / name / "embeddings", deep=False).customers


def _as_registered(texts: Sequence[str], types: set[Any]) -> tuple[str, ...]:
    """Ids as the register keeps them: "007" as 7 where ids are numbers, as it stands where they are text."""
    forms: list[str] = []
    for text in texts:
        if pl.Int64() in types and WHOLE_NUMBER.fullmatch(text):
            forms.append(str(int(text)))
        if pl.Int64() not in types or pl.String() in types or not WHOLE_NUMBER.fullmatch(text):
            forms.append(text)
    return tuple(dict.fromkeys(forms))


def _models(rewrite: Rewrite, workspace: Workspace, blanked: Values) -> list[Taken]:
    taken = []
    for folder in models_to_blank(_folders(workspace.models), blanked) if blanked else ():
        blank_model(folder, rewrite.room(folder), blanked)
        taken.append(Taken(f"models/{folder.name}", {"values of dictionaries": len(blanked)}))
    return taken


def _leftovers(rewrite: Rewrite, workspace: Workspace) -> list[Taken]:
    """Have everything removed that killed runs left: it may hold anybody."""
    places = list(workspace.staging.glob("*"))
    folders = (workspace.eventlogs, workspace.models, workspace.snapshots, workspace.audiences)
    hidden = [path for folder in folders for path in folder.glob(".*")]
    hidden += [path for folder in (workspace.saved, workspace.nights) for path in folder.rglob(".*")]
    places += [path for path in hidden if path.name in (SPOOL, SHARDS) or path.suffix in LEFT or ".part." in path.name]
    for place in places:
        rewrite.remove(place)
    return [Taken("leftovers of killed runs", {"files and folders": len(places)})] if places else []


def _objections(catalogue: Catalogue, hashes: Sequence[str], who: Named) -> list[dict[str, Any]]:
    count = objections_of(catalogue, hashes, who)
    return [{"artifact": "register of objections", "objections": count}] if count else []


def _receipt(
    id: str,
    catalogue: Catalogue,
    hashes: list[str],
    asked: _Asked,
    texts: Sequence[str],
    taken: Sequence[Taken],
    actor: str,
) -> dict[str, Any]:
    """What is told of an erasure; JSON values, no customer's id."""
    kept = KEPT if catalogue.is_file else (*KEPT, POSTGRESQL)
    return {
        "receipt": id,
        "at": catalogue.now().isoformat(),
        "actor": actor,
        "asked": len(texts),
        "known": asked.known,
        "unknown": max(len(texts) - asked.known, 0),
        "hashes": hashes,
        "removed": [{"artifact": one.artifact, **one.removed} for one in taken],
        "untouched": [{"what": what, "why": why} for what, why in kept],
        "search": None,
    }


def _folders(folder: Path) -> list[Path]:
    return [path.parent for path in sorted(folder.glob(f"[!.]*/{MANIFEST}"))]
