/*
 * The C interface of simulators that deepzero drives: a network reads what a simulator shows, acts on it, and so on,
 * for many trajectories and many perturbed networks at once. Build a shared object, `cc -O3 -shared -fPIC
 * -I…/native/include`, and give its path to `rollout({ simulator })`.
 *
 * A trajectory has a state, which changes, and parameters, which do not, such as a viscosity. A rollout of n steps is
 *
 *     without `correct`:  n times  y = network(observe(state));  state = step(state, y)
 *     with `correct`:     n times  state = step(state, none);  y = network(observe(state));  state = correct(state, y)
 *     after each step     values = measure(state)
 *
 * Its loss is an error of the values, or `loss` of all of them.
 *
 * Functions take `count` trajectories at once, from 1 to 16, one behind the other in every array. What they compute for
 * one of them must be a function of its own arguments alone: neither of `count`, of the others, nor of calls before.
 * Arrays do not overlap.
 *
 * Threads: deepzero makes a simulator for each of its threads and never calls functions of one simulator from two
 * threads at a time. Functions of different simulators run at the same time: global variables must be constant.
 *
 * Errors: a function that cannot do its work returns a number other than 0. It is then called for each trajectory by
 * itself; the query whose trajectory fails has no loss, as where a value is NaN. Nothing may print, throw, exit or
 * jump.
 */
#ifndef DEEPZERO_SIMULATOR_H
#define DEEPZERO_SIMULATOR_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DEEPZERO_SIMULATOR_VERSION 1

/* How many numbers each array has for one trajectory; maps are channels × rows × columns. */
typedef struct {
  int64_t parameters;     /* >= 0 */
  int64_t state;          /* >= 1 */
  int64_t observation[3]; /* what the network reads */
  int64_t output[3];      /* what the network yields */
  int64_t values;         /* of one step, >= 1 */
} deepzero_sizes;

typedef struct {
  uint32_t version; /* DEEPZERO_SIMULATOR_VERSION */

  /* A simulator for the option `config`, any text, and its sizes; or null, and why in `message`, a text of at most
     `length` bytes with its final zero. Equal texts make equal simulators. */
  void* (*create)(const char* config, deepzero_sizes* sizes, char* message, size_t length);
  void (*destroy)(void* simulator);

  int (*observe)(void* simulator, int count, const double* parameters, const double* state, double* observation);
  /* `output` is null where there is `correct`. */
  int (*step)(void* simulator, int count, const double* parameters, const double* state, const double* output,
              double* next);
  /* May be null, see above. */
  int (*correct)(void* simulator, int count, const double* parameters, const double* state, const double* output,
                 double* next);
  int (*measure)(void* simulator, int count, const double* parameters, const double* state, double* values);
  /* May be null: of one trajectory, from the values of all steps, [steps][values], and the targets, equally many or
   * null. */
  int (*loss)(void* simulator, int64_t steps, const double* parameters, const double* values, const float* targets,
              double* loss);
} deepzero_simulator;

/* The one symbol that is looked up. */
__attribute__((visibility("default"))) const deepzero_simulator* deepzero_simulator_interface(void);

#ifdef __cplusplus
}
#endif

#endif
