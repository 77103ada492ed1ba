"""What readelf calls the types of notes, by who wrote them. Data only."""

from typing import Final

CORE_NOTES: Final = {
    6: "NT_AUXV (auxiliary vector)",
    1: "NT_PRSTATUS (prstatus structure)",
    2: "NT_FPREGSET (floating point registers)",
    3: "NT_PRPSINFO (prpsinfo structure)",
    4: "NT_TASKSTRUCT (task structure)",
    0xFF000000: "NT_GDB_TDESC (GDB XML target description)",
    0x46E62B7F: "NT_PRXFPREG (user_xfpregs structure)",
    0x100: "NT_PPC_VMX (ppc Altivec registers)",
    0x102: "NT_PPC_VSX (ppc VSX registers)",
    0x103: "NT_PPC_TAR (ppc TAR register)",
    0x104: "NT_PPC_PPR (ppc PPR register)",
    0x105: "NT_PPC_DSCR (ppc DSCR register)",
    0x106: "NT_PPC_EBB (ppc EBB registers)",
    0x107: "NT_PPC_PMU (ppc PMU registers)",
    0x108: "NT_PPC_TM_CGPR (ppc checkpointed GPR registers)",
    0x109: "NT_PPC_TM_CFPR (ppc checkpointed floating point registers)",
    0x10A: "NT_PPC_TM_CVMX (ppc checkpointed Altivec registers)",
    0x10B: "NT_PPC_TM_CVSX (ppc checkpointed VSX registers)",
    0x10C: "NT_PPC_TM_SPR (ppc TM special purpose registers)",
    0x10D: "NT_PPC_TM_CTAR (ppc checkpointed TAR register)",
    0x10E: "NT_PPC_TM_CPPR (ppc checkpointed PPR register)",
    0x10F: "NT_PPC_TM_CDSCR (ppc checkpointed DSCR register)",
    0x200: "NT_386_TLS (x86 TLS information)",
    0x201: "NT_386_IOPERM (x86 I/O permissions)",
    0x202: "NT_X86_XSTATE (x86 XSAVE extended state)",
    0x203: "NT_X86_CET (x86 CET state)",
    0x300: "NT_S390_HIGH_GPRS (s390 upper register halves)",
    0x301: "NT_S390_TIMER (s390 timer register)",
    0x302: "NT_S390_TODCMP (s390 TOD comparator register)",
    0x303: "NT_S390_TODPREG (s390 TOD programmable register)",
    0x304: "NT_S390_CTRS (s390 control registers)",
    0x305: "NT_S390_PREFIX (s390 prefix register)",
    0x306: "NT_S390_LAST_BREAK (s390 last breaking event address)",
    0x307: "NT_S390_SYSTEM_CALL (s390 system call restart data)",
    0x308: "NT_S390_TDB (s390 transaction diagnostic block)",
    0x309: "NT_S390_VXRS_LOW (s390 vector registers 0-15 upper half)",
    0x30A: "NT_S390_VXRS_HIGH (s390 vector registers 16-31)",
    0x30B: "NT_S390_GS_CB (s390 guarded-storage registers)",
    0x30C: "NT_S390_GS_BC (s390 guarded-storage broadcast control)",
    0x400: "NT_ARM_VFP (arm VFP registers)",
    0x401: "NT_ARM_TLS (AArch TLS registers)",
    0x402: "NT_ARM_HW_BREAK (AArch hardware breakpoint registers)",
    0x403: "NT_ARM_HW_WATCH (AArch hardware watchpoint registers)",
    0x404: "NT_ARM_SYSTEM_CALL (AArch system call number)",
    0x405: "NT_ARM_SVE (AArch SVE registers)",
    0x406: "NT_ARM_PAC_MASK (AArch pointer authentication code masks)",
    0x407: "NT_ARM_PACA_KEYS (ARM pointer authentication address keys)",
    0x408: "NT_ARM_PACG_KEYS (ARM pointer authentication generic keys)",
    0x409: "NT_ARM_TAGGED_ADDR_CTRL (AArch tagged address control)",
    0x40A: "NT_ARM_PAC_ENABLED_KEYS (AArch64 pointer authentication enabled keys)",
    0x600: "NT_ARC_V2 (ARC HS accumulator/extra registers)",
    0x900: "NT_RISCV_CSR (RISC-V control and status registers)",
    10: "NT_PSTATUS (pstatus structure)",
    12: "NT_FPREGS (floating point registers)",
    13: "NT_PSINFO (psinfo structure)",
    16: "NT_LWPSTATUS (lwpstatus_t structure)",
    17: "NT_LWPSINFO (lwpsinfo_t structure)",
    18: "NT_WIN32PSTATUS (win32_pstatus structure)",
    0x53494749: "NT_SIGINFO (siginfo_t data)",
    0x46494C45: "NT_FILE (mapped files)",
}
"""Notes of core files that a kernel or a debugger wrote."""

FREEBSD_NOTES: Final = {
    7: "NT_THRMISC (thrmisc structure)",
    8: "NT_PROCSTAT_PROC (proc data)",
    9: "NT_PROCSTAT_FILES (files data)",
    10: "NT_PROCSTAT_VMMAP (vmmap data)",
    11: "NT_PROCSTAT_GROUPS (groups data)",
    12: "NT_PROCSTAT_UMASK (umask data)",
    13: "NT_PROCSTAT_RLIMIT (rlimit data)",
    14: "NT_PROCSTAT_OSREL (osreldate data)",
    15: "NT_PROCSTAT_PSSTRINGS (ps_strings data)",
    16: "NT_PROCSTAT_AUXV (auxv data)",
    17: "NT_PTLWPINFO (ptrace_lwpinfo structure)",
    512: "NT_X86_SEGBASES (x86 segment base registers)",
}
"""Notes of FreeBSD."""
GNU_NOTES: Final = {
    1: "NT_GNU_ABI_TAG (ABI version tag)",
    2: "NT_GNU_HWCAP (DSO-supplied software HWCAP info)",
    3: "NT_GNU_BUILD_ID (unique build ID bitstring)",
    4: "NT_GNU_GOLD_VERSION (gold version)",
    5: "NT_GNU_PROPERTY_TYPE_0",
    0x100: "NT_GNU_BUILD_ATTRIBUTE_OPEN",
    0x101: "NT_GNU_BUILD_ATTRIBUTE_FUNC",
}
"""Notes of GNU."""

OTHER_NOTES: Final = {
    1: "NT_VERSION (version)",
    2: "NT_ARCH (architecture)",
    4: "GO BUILDID",
    0x100: "OPEN",
    0x101: "func",
    0xCAFE1A7E: "FDO_PACKAGING_METADATA",
}
"""Notes of files that are no core files, where the owner is not known."""

OPENBSD_NOTES: Final = {
    10: "OpenBSD procinfo structure",
    11: "OpenBSD ELF auxiliary vector data",
    20: "OpenBSD regular registers",
    21: "OpenBSD floating point registers",
    23: "OpenBSD window cookie",
}
"""Notes of OpenBSD."""

NETBSD_CORE_NOTES: Final = {
    1: "NetBSD procinfo structure",
    2: "NetBSD ELF auxiliary vector data",
    24: "PT_LWPSTATUS (ptrace_lwpstatus structure)",
}
"""Notes of NetBSD's core files that are the same on every machine; the others start with 32."""

NETBSD_MACHINE_NOTES: Final = {
    0x9026: {0: "PT_GETREGS (reg structure)", 2: "PT_GETFPREGS (fpreg structure)"},
    42: {
        1: "PT___GETREGS40 (old reg structure)",
        3: "PT_GETREGS (reg structure)",
        5: "PT_GETFPREGS (fpreg structure)",
    },
    None: {1: "PT_GETREGS (reg structure)", 3: "PT_GETFPREGS (fpreg structure)"},
}
"""Those, counted from 32: `e_machine` → number → name; None is any other machine."""

ABI_TAG_SYSTEMS: Final = ("Linux", "Hurd", "Solaris", "FreeBSD", "NetBSD", "Syllable", "NaCl")
"""The systems of NT_GNU_ABI_TAG in the order of their numbers."""
