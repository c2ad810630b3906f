/**
 * Algorithm 1 of DeepZero on CIFAR-10: ResNet-20 trained from forward passes alone, with the paper's settings.
 *
 *     npx tsx examples/cifar10-resnet20.ts cifar-10-batches-bin [SPARSITY] [EPOCHS]
 *
 * The folder holds CIFAR-10's binary version. At sparsity 0.9 a step makes 28,221 loss evaluations: the script first prints an
 * estimate of the run's duration. Log and checkpoints are in runs/cifar10-resnet20; after Ctrl-C or a crash the same command
 * resumes from them.
 */
import { cge, cifar10, cosine, Model, resnet20, RunFolder, sgd, train, zoGrasp } from 'deepzero';

const [images = 'cifar-10-batches-bin', sparsity = '0.9', epochs = '50'] = process.argv.slice(2);

process.on('uncaughtException', ({ message }) => {
  console.error(message);
  process.exit(1);
});
// Checked before ZO-GraSP, which takes minutes.
if (!(Number(epochs) > 0 && Number.isFinite(Number(epochs))))
  throw new Error(`Expected EPOCHS to be a finite number > 0, received ${epochs}`);
const stop = new AbortController();
process.once('SIGINT', () => {
  stop.abort();
});
const { signal } = stop;

const { train: trainSet, test: testSet } = await cifar10(images);
await using folder = await RunFolder.open('runs/cifar10-resnet20');
using model = new Model(resnet20({ classes: 10 }), { seed: 1 });

try {
  console.log('ZO-GraSP: the fraction of coordinates left out of each layer');
  const ratios = await zoGrasp(model, trainSet, {
    sparsity: Number(sparsity),
    queries: 192,
    mu: 5e-3,
    samplesPerClass: 25,
    seed: 1,
    signal,
  });
  for (const [name, ratio] of Object.entries(ratios)) console.log(`  ${name.padEnd(24)} ${(100 * ratio).toFixed(1)} %`);

  const run = train(model, trainSet, {
    estimator: cge({ mu: 5e-3, ratios, redrawEvery: 5 }),
    optimizer: sgd({ lr: cosine({ peak: 0.1, warmupEpochs: 3 }), momentum: 0.9, weightDecay: 5e-4 }),
    epochs: Number(epochs),
    batchSize: 256,
    seed: 1,
    test: testSet,
    folder,
    signal,
  });
  const { queriesPerStep, secondsPerStep, hours } = await run.estimateCost();
  console.log(`${queriesPerStep} queries, ${secondsPerStep.toFixed(1)} s per step, ${hours.toFixed(1)} h in total`);

  for await (const { step, loss, accuracy, queriesPerSecond, test } of run) {
    console.log(
      `step ${step}  loss ${loss.toFixed(3)}  accuracy ${accuracy?.toFixed(3)}  ${queriesPerSecond.toFixed(0)} q/s`,
    );
    if (test) console.log('test', test);
  }
  await model.save(folder.weights);
  console.log(`weights in ${folder.weights}`);
} catch (error) {
  if (!signal.aborted) throw error;
  console.log(`stopped: the same command resumes from the steps in ${folder.path}`);
}
