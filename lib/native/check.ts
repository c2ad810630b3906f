/**
 * Run by the install script when neither a prebuilt addon loaded nor one could be built: says why.
 *
 * @module
 */
import { native } from './addon.js';

try {
  console.error(`deepzero's native addon loads, with ${native.isa}, but it could not be built`);
} catch (error) {
  console.error((error as Error).message);
}
