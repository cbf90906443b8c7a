export const EXIT_TROUBLE = 1;
export const EXIT_USAGE = 2;
/** A bug or a failure of the system, as in sysexits.h. */
export const EXIT_INTERNAL = 70;
