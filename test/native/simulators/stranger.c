/* A shared object that is no simulator. */
int stranger(void);
int stranger(void) { return 0; }
