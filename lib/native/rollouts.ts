/**
 * The types of the addon's rollouts.
 *
 * @module
 */
import type {
  NativeComputer,
  NativeDirections,
  NativeEstimate,
  NativeEvaluation,
  NativeReferenceResult,
} from './requests.js';

/** The arguments of all computations of rollouts. Arrays are copied when the job is created. */
export interface NativeRolloutRequest {
  /** Of the network. */
  parameters: Float32Array;
  /** For each trajectory the simulator's parameters, then the first state. */
  items: Float32Array;
  /** For each trajectory and step its values; `simulator` may do without. */
  targets?: Float32Array;
  count: number;
  steps: number;
  loss: 'mean-squared-error' | 'mean-absolute-error' | 'simulator';
  threads: number;
}

interface NativeRolloutCoordinates extends NativeRolloutRequest {
  coordinates: Uint32Array;
  mu: number;
  central: boolean;
}

export interface NativeRolloutRequests {
  evaluate: NativeRolloutRequest;
  coordinatewise: NativeRolloutCoordinates;
  randomized: NativeRolloutRequest & NativeDirections;
  reference: NativeRolloutCoordinates;
}

/** Estimates with the number of losses that are missing, and the queries, by their places, that have no slope at all. */
export interface NativeRolloutResults {
  /** `outputs`: for each trajectory and step its values. */
  evaluate: NativeEvaluation;
  coordinatewise: NativeEstimate & { failed: number; missing?: Uint32Array };
  randomized: NativeEstimate & { failed: number; missing?: Uint32Array };
  reference: NativeReferenceResult;
}

/** How many numbers a simulator's arrays have for a trajectory; maps are channels, rows and columns. */
export interface NativeSimulator {
  parameters: number;
  state: number;
  observation: [number, number, number];
  output: [number, number, number];
  /** Of a step. */
  values: number;
  hasLoss: boolean;
}

/** Rollouts of a network and a simulator. */
export type NativeRollouts = NativeComputer<NativeRolloutRequests, NativeRolloutResults>;
