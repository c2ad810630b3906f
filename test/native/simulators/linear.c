/*
 * A linear simulator for tests: state' = a·state + output, of parameter a; the network reads the state, a map of
 * 1×1×entries, and the values are the state. Its loss is the mean of the last step's values, plus the first target if
 * there is one.
 *
 * `config` is the number of entries. With "fail" behind it, a step fails where a trajectory's first entry is above 100;
 * so do, with "unobserved", "uncorrected" and "unmeasured", the functions that they name; with "nan" a step then yields
 * NaN. With "demand", the loss fails without targets; with "flat" outputs are a map of entries×1×1; with "lines" it is
 * refused in two.
 * With -DCORRECT=correct the output is added after a step, -DLOSS=NULL leaves out the loss, -DVERSION is another
 * version.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "include/deepzero_simulator.h"

#ifndef VERSION
#define VERSION DEEPZERO_SIMULATOR_VERSION
#endif
#ifndef CORRECT
#define CORRECT NULL
#endif
#ifndef LOSS
#define LOSS loss
#endif

typedef struct {
  int entries;
  int fails, unobserved, uncorrected, unmeasured, nan;
  int demands; /* targets */
} Linear;

static int entriesOf(const void* simulator) { return ((const Linear*)simulator)->entries; }

/* Whether the first entry of any trajectory is above 100. */
static int leaves(const Linear* linear, int count, const double* state) {
  for (int i = 0; i < count; ++i) {
    if (state[i * linear->entries] > 100) return 1;
  }
  return 0;
}

static void* create(const char* config, deepzero_sizes* sizes, char* message, size_t length) {
  int entries = atoi(config);
  if (strstr(config, "none") != NULL) return NULL;
  if (strstr(config, "lines") != NULL) {
    snprintf(message, length, "expected\none line");
    return NULL;
  }
  if (entries < 1 && strstr(config, "wrong") == NULL) {
    snprintf(message, length, "expected the number of entries, received \"%s\"", config);
    return NULL;
  }
  Linear* linear = malloc(sizeof *linear);
  if (linear == NULL) return NULL;
  linear->entries = entries;
  linear->fails = strstr(config, "fail") != NULL;
  linear->unobserved = strstr(config, "unobserved") != NULL;
  linear->uncorrected = strstr(config, "uncorrected") != NULL;
  linear->unmeasured = strstr(config, "unmeasured") != NULL;
  linear->nan = strstr(config, "nan") != NULL;
  linear->demands = strstr(config, "demand") != NULL;
  *sizes = (deepzero_sizes){1, entries, {1, 1, entries}, {1, 1, entries}, entries};
  if (strstr(config, "flat") != NULL) {
    sizes->output[0] = entries;
    sizes->output[2] = 1;
  }
  return linear;
}

static int observe(void* simulator, int count, const double* parameters, const double* state, double* observation) {
  (void)parameters;
  if (((const Linear*)simulator)->unobserved && leaves(simulator, count, state)) return 1;
  memcpy(observation, state, sizeof *state * (size_t)(count * entriesOf(simulator)));
  return 0;
}

static int step(void* simulator, int count, const double* parameters, const double* state, const double* output,
                double* next) {
  const int entries = entriesOf(simulator);
  if (((const Linear*)simulator)->fails && leaves(simulator, count, state)) return 1;
  for (int i = 0; i < count * entries; ++i) {
    const int lost = ((const Linear*)simulator)->nan && state[i / entries * entries] > 100;
    next[i] = lost ? NAN : parameters[i / entries] * state[i] + (output != NULL ? output[i] : 0);
  }
  return 0;
}

int correct(void* simulator, int count, const double* parameters, const double* state, const double* output,
            double* next) {
  (void)parameters;
  if (((const Linear*)simulator)->uncorrected && leaves(simulator, count, state)) return 1;
  for (int i = 0; i < count * entriesOf(simulator); ++i) next[i] = state[i] + output[i];
  return 0;
}

static int measure(void* simulator, int count, const double* parameters, const double* state, double* values) {
  (void)parameters;
  if (((const Linear*)simulator)->unmeasured && leaves(simulator, count, state)) return 1;
  memcpy(values, state, sizeof *state * (size_t)(count * entriesOf(simulator)));
  return 0;
}

int loss(void* simulator, int64_t steps, const double* parameters, const double* values, const float* targets,
         double* result) {
  const int entries = entriesOf(simulator);
  (void)parameters;
  if (targets == NULL && ((const Linear*)simulator)->demands) return 1;
  *result = targets != NULL ? targets[0] : 0;
  for (int i = 0; i < entries; ++i) *result += values[(steps - 1) * entries + i] / entries;
  return 0;
}

const deepzero_simulator* deepzero_simulator_interface(void) {
  static const deepzero_simulator simulator = {VERSION, create, free, observe, step, CORRECT, measure, LOSS};
  return &simulator;
}
