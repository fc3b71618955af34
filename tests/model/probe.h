/* PROBE("what has happened"): marks a branch of a model; the search says once that it has taken it, and
   model_test.py fails if it never does: a model that cannot do a thing proves nothing about it. */
c_decl {
static const char *probes_seen[64];
static int probes;
static void probe(const char *what) {
    int i;
    for (i = 0; i < probes; i++) if (strcmp(probes_seen[i], what) == 0) return;
    if (probes < 64) probes_seen[probes++] = what;
    printf("PROBE %s\n", what);
}
}
#define PROBE(what) c_code { probe(what); };
