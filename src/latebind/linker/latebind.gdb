# For a debugger that is attached after libraries were loaded: `latebind-symbols` reads the linker's list of objects
# (__latebind_images in src/core/debugger.c) and adds the symbols of each file where it stands.
#
#     gdb -p PID -x "$(python -c 'from latebind.linker import debugger; print(debugger.script())')" -ex latebind-symbols

define latebind-symbols
  set $lb_table = (char *)&__latebind_images
  set $lb_at = **(unsigned long **)($lb_table + 16)
  while $lb_at
    set $lb_base = *(unsigned long *)($lb_at + *(unsigned *)($lb_table + 8))
    set $lb_name = *(char **)($lb_at + *(unsigned *)($lb_table + 12))
    if *$lb_name == '/'
      eval "add-symbol-file %s -o %#lx", $lb_name, $lb_base
    end
    set $lb_at = *(unsigned long *)($lb_at + *(unsigned *)($lb_table + 4))
  end
end
document latebind-symbols
Add the symbols of the libraries that latebind has loaded into this process.
end
