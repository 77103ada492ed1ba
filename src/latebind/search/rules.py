"""Where a needed name is looked for, place by place, in the order of the dynamic linker that will do it.

Two linkers, two orders. glibc (ld.so(8), elf/dl-load.c): DT_RPATH up the chain of loaders, LD_LIBRARY_PATH, DT_RUNPATH
of the loader alone, the cache, the default folders; each folder first with its glibc-hwcaps subfolders. musl
(ldso/dynlink.c, `load_library`): LD_LIBRARY_PATH, then DT_RPATH and DT_RUNPATH alike up the chain, then the folders of
/etc/ld-musl-ARCH.path; no cache, no hwcaps.
"""

from __future__ import annotations

import os

from latebind.elf.numbers import DF_1_NODEFLIB
from latebind.errors import Tried

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import ClassVar, Final, Protocol, TypeAlias

    from latebind.elf.summary import Summary
    from latebind.search.environment import Environment
    from latebind.search.files import Files

    class Owner(Protocol):
        """An object whose search path counts: its path on disk and what its dynamic section says."""

        @property
        def path(self) -> str:
            """Its path, as the linker sees it."""
            ...

        @property
        def summary(self) -> Summary:
            """Its file."""
            ...


CACHE_SAYS_SO: Final = "ld.so.cache says so"
"""The reason in words for what the cache led to."""


class Via(str):
    """The rule that led to an object (ld.so(8)); the rules are the attributes below, compared with `is`.

    Not an enum, whose import would take longer than the search for everything that a program needs.
    """

    __slots__ = ()
    RPATH: ClassVar[Via]
    RUNPATH: ClassVar[Via]
    ENV: ClassVar[Via]
    CACHE: ClassVar[Via]
    DEFAULT: ClassVar[Via]
    PATH: ClassVar[Via]
    INTERP: ClassVar[Via]
    PRELOAD: ClassVar[Via]
    RESIDENT: ClassVar[Via]
    ROOT: ClassVar[Via]


for _name in Via.__annotations__:
    setattr(Via, _name, Via(_name.lower()))

if TYPE_CHECKING:
    Candidate: TypeAlias = tuple[str, Via, str]
    """One place to try: the path, the rule that leads there and the reason in words."""


def reason_of_rpath(folder: str, path: str, tag: str = "DT_RPATH") -> str:
    """The reason in words for what was found in `folder`, which `tag` of the object at `path` lists."""
    return f"{tag} {folder} of {path}"


class Rules:
    """The search order in one environment. `chain` in the methods is the loading object first, the root last."""

    def __init__(self, env: Environment, files: Files) -> None:
        self.env = env
        self.files = files
        self.has_tokens = any("$" in folder for folder in env.library_path)
        """Whether LD_LIBRARY_PATH means other folders for each loader."""
        # What a list of folders comes to is the same for every name: (folder as it is put before a name, reason).
        self._folders: dict[object, list[tuple[str, str]]] = {}
        self._default: list[tuple[str, str]] | None = None

    def candidates(self, name: str, chain: Sequence[Owner], tried: list[Tried]) -> Iterator[Candidate]:
        """Every place where the linker would look for `name`; places that are ruled out go to `tried`."""
        if "/" in name:
            path = self.substitute(name, chain[0])
            if path is None:
                tried.append(Tried(name, "$ORIGIN is not expanded in secure mode"))
            else:
                yield path, Via.PATH, "its name is a path"
        elif self.env.is_musl:
            yield from self._musl(name, chain)
        else:
            yield from self._glibc(name, chain, tried)

    def folders(self, chain: Sequence[Owner]) -> list[str]:
        """The folders where glibc looks for a bare name, in order: what dlinfo(3) tells for RTLD_DI_SERINFO.

        As there, without the cache, which is no folder, and without the glibc-hwcaps subfolders; and each once in its
        list (elf/dl-load.c, `_dl_rtld_di_serinfo` and `fillin_rpath`).
        """
        loader = chain[0]
        found: list[str] = []
        for owner in chain if loader.summary.runpath is None else ():
            found += self._named(owner.summary.rpath, owner)
        found += dict.fromkeys(folder for text in self.env.library_path for folder in self._named(text, loader))
        found += self._named(loader.summary.runpath, loader)
        if not loader.summary.flags_1 & DF_1_NODEFLIB:
            found += [_bare(folder) for folder in self.env.system_dirs]
        return found

    def _named(self, folders: str | None, owner: Owner) -> dict[str, None]:
        """Those that a search path names; an empty one is the current folder."""
        places = [self.substitute(folder, owner) for folder in (folders.split(":") if folders else ())]
        return dict.fromkeys([_bare(place) for place in places if place is not None])

    # glibc --------------------------------------------------------------------------------------------------

    def _glibc(self, name: str, chain: Sequence[Owner], tried: list[Tried]) -> Iterator[Candidate]:
        if chain[0].summary.runpath is None:
            yield from self.inherited(name, chain)
        loader = chain[0]
        if self.env.library_path:
            yield from self._library_path(name, loader)
        yield from self.of_runpath(name, loader)
        use_default = not loader.summary.flags_1 & DF_1_NODEFLIB
        cached = self.env.cache.lookup(name, self.env.cache_flags, self.env.hwcaps)
        if cached is None:
            tried.append(Tried("/etc/ld.so.cache", "has no entry for it"))
        elif use_default or os.path.dirname(cached) not in self.env.system_dirs:
            yield cached, Via.CACHE, CACHE_SAYS_SO
        else:
            tried.append(Tried(cached, "in a default folder, which DF_1_NODEFLIB excludes"))
        if use_default:
            for base, why in self._default_folders():
                yield base + name, Via.DEFAULT, why

    def inherited(self, name: str, owners: Sequence[Owner]) -> Iterator[Candidate]:
        """The places that glibc's linker owes to DT_RPATH of the loading object and those above it."""
        for owner in owners:
            if owner.summary.rpath:
                yield from self._listed(name, owner, owner.summary.rpath, Via.RPATH, "DT_RPATH")

    def of_runpath(self, name: str, loader: Owner) -> Iterator[Candidate]:
        """The places that it owes to DT_RUNPATH of the loading object."""
        if loader.summary.runpath:
            yield from self._listed(name, loader, loader.summary.runpath, Via.RUNPATH, "DT_RUNPATH")

    # musl ---------------------------------------------------------------------------------------------------

    def _musl(self, name: str, chain: Sequence[Owner]) -> Iterator[Candidate]:
        yield from self._library_path(name, chain[0])
        for owner in chain:
            d = owner.summary
            folders, tag = (d.runpath, "DT_RUNPATH") if d.runpath is not None else (d.rpath, "DT_RPATH")
            yield from self._listed(name, owner, folders, Via.RUNPATH if tag == "DT_RUNPATH" else Via.RPATH, tag)
        for base, why in self._default_folders():
            yield base + name, Via.DEFAULT, why

    # common -------------------------------------------------------------------------------------------------

    def _library_path(self, name: str, loader: Owner) -> Iterator[Candidate]:
        for folder in self.env.library_path:
            place = self.substitute(folder, loader)
            for base in self._in(place) if place is not None else ():
                yield base + name, Via.ENV, f"LD_LIBRARY_PATH has {folder}"

    def _listed(self, name: str, owner: Owner, folders: str | None, via: Via, tag: str) -> Iterator[Candidate]:
        key = owner.path, owner.summary, tag
        known = self._folders.get(key)
        if known is None:
            known = self._folders[key] = list(self._expanded(owner, folders, tag))
        for base, why in known:
            yield base + name, via, why

    def _expanded(self, owner: Owner, folders: str | None, tag: str) -> Iterator[tuple[str, str]]:
        for folder in folders.split(":") if folders else ():
            place = self.substitute(folder or ".", owner)
            for base in self._in(place) if place is not None else ():
                yield base, reason_of_rpath(folder, owner.path, tag)

    def _default_folders(self) -> list[tuple[str, str]]:
        """The default folders: looked at when a name was found nowhere before, which is rare under glibc."""
        if self._default is None:
            whose = "is in musl's path" if self.env.is_musl else "is a default folder"
            self._default = [
                (base, f"{folder} {whose}") for folder in self.env.system_dirs for base in self._in(folder)
            ]
        return self._default

    def _in(self, folder: str) -> list[str]:
        """Where a name in `folder` may be, best first: the glibc-hwcaps subfolders that are there, and itself."""
        base = folder.rstrip("/")
        above = f"{base}/glibc-hwcaps"
        if not self.env.hwcaps or not self.files.has_folder(above):
            return [f"{base}/"]
        better = [f"{above}/{level}" for level in self.env.hwcaps]
        return [*[f"{place}/" for place in better if self.files.has_folder(place)], f"{base}/"]

    def substitute(self, text: str, owner: Owner) -> str | None:
        """`text` with its dynamic string tokens replaced: $ORIGIN, $LIB, $PLATFORM (ld.so(8)), with or without braces.

        None where secure mode forbids it: $ORIGIN then counts only where it leads to a default folder.
        """
        if "$" not in text:
            return text
        origin = self._origin(owner)
        expanded = text
        for token, value in (("ORIGIN", origin), ("LIB", self.env.lib), ("PLATFORM", self.env.platform)):
            expanded = expanded.replace("${" + token + "}", value).replace("$" + token, value)
        if self.env.secure and "ORIGIN" in text:
            trusted = os.path.normpath(expanded)
            return trusted if any(trusted == d or trusted.startswith(d + "/") for d in self.env.system_dirs) else None
        return expanded

    def _origin(self, owner: Owner) -> str:
        """The folder that $ORIGIN means (glibc's `_dl_get_origin` and `_dl_new_object`, musl's `fixup_rpath`).

        The kernel tells a program's real path; everything else counts where it was found, symbolic links and all.
        """
        if owner.summary.interpreter is not None and not self.env.invoked:
            return os.path.dirname(self.files.canonical(owner.path))
        path = owner.path if os.path.isabs(owner.path) else f"{os.getcwd()}/{owner.path}"
        return path.rpartition("/")[0] or "/"


def _bare(folder: str) -> str:
    """Without slashes at its end; ``.`` for nothing."""
    return folder.rstrip("/") or folder[:1] or "."
