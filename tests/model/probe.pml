/* PROBE("what has happened"): marks a branch of a model; the search says once that it has taken it, and
   model_test.py fails if it never does: a model that cannot do a thing proves nothing about it. */
#define PROBE(what) c_code { static int seen; if (!seen) { seen = 1; printf("PROBE %s\n", what); } };
