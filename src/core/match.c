/* Reference to definition over file bytes. */
typedef int lb_match_not_empty;
