/*
 * A linear simulator for tests: state' = a·state + output, of parameter a; the network reads the state, a map of
 * 1×1×entries, and the values are the state. Its loss is the mean of the last step's values, plus the first target if
 * there is one.
 *
 * `config` is the number of entries. With "fail" behind it, a step fails where a trajectory's first entry is above 100;
 * with "demand", the loss fails without targets.
 * With -DCORRECT=correct the output is added after a step, -DLOSS=NULL leaves out the loss, -DVERSION is another
 * version.
 */
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
  int fails;
  int demands; /* targets */
} Linear;

static int entriesOf(const void* simulator) { return ((const Linear*)simulator)->entries; }

static void* create(const char* config, deepzero_sizes* sizes, char* message, size_t length) {
  int entries = atoi(config);
  if (strstr(config, "none") != NULL) return NULL;
  if (entries < 1 && strstr(config, "wrong") == NULL) {
    snprintf(message, length, "expected the number of entries, received \"%s\"", config);
    return NULL;
  }
  Linear* linear = malloc(sizeof *linear);
  if (linear == NULL) return NULL;
  linear->entries = entries;
  linear->fails = strstr(config, "fail") != NULL;
  linear->demands = strstr(config, "demand") != NULL;
  *sizes = (deepzero_sizes){1, entries, {1, 1, entries}, {1, 1, entries}, entries};
  return linear;
}

static int observe(void* simulator, int count, const double* parameters, const double* state, double* observation) {
  (void)parameters;
  memcpy(observation, state, sizeof *state * (size_t)(count * entriesOf(simulator)));
  return 0;
}

static int step(void* simulator, int count, const double* parameters, const double* state, const double* output,
                double* next) {
  const int entries = entriesOf(simulator);
  for (int i = 0; i < count * entries; ++i) {
    if (((const Linear*)simulator)->fails && i % entries == 0 && state[i] > 100) return 1;
    next[i] = parameters[i / entries] * state[i] + (output != NULL ? output[i] : 0);
  }
  return 0;
}

int correct(void* simulator, int count, const double* parameters, const double* state, const double* output,
            double* next) {
  (void)parameters;
  for (int i = 0; i < count * entriesOf(simulator); ++i) next[i] = state[i] + output[i];
  return 0;
}

static int measure(void* simulator, int count, const double* parameters, const double* state, double* values) {
  return observe(simulator, count, parameters, state, values);
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
