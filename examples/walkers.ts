/**
 * Two robots that learn to move, in MuJoCo: a swimmer of three links, and half a cheetah. The models are written here from the published
 * dimensions; observations, rewards, frame skips and initial states follow Gymnasium's Swimmer-v5 and HalfCheetah-v5, with actions clipped to
 * [−1, 1]. Equal seeds and policies give equal bits.
 *
 * @module
 */
import { createHash } from 'node:crypto';

import loadMujoco from '@mujoco/mujoco';

/** Links of 1 m and a radius of 0.1 m in a plane, in a fluid; torques of at most 150 N·m at the two joints between them. */
function swimmer(): string {
  const link = '<geom type="capsule" size="0.1" density="1000" contype="0" conaffinity="0" fromto=';
  const joint = (name: string): string =>
    `<joint name="${name}" type="hinge" axis="0 0 1" armature="0.1" range="-100 100"/>`;
  const motor = (name: string): string => `<motor joint="${name}" gear="150" ctrlrange="-1 1"/>`;
  return `<mujoco>
    <option timestep="0.01" integrator="RK4" density="4000" viscosity="0.1"/>
    <worldbody>
      <body>
        <joint type="slide" axis="1 0 0" armature="0.1"/>
        <joint type="slide" axis="0 1 0" armature="0.1"/>
        <joint type="hinge" axis="0 0 1" armature="0.1"/>
        ${link}"1.5 0 0 0.5 0 0"/>
        <body pos="0.5 0 0">
          ${joint('front')}
          ${link}"0 0 0 -1 0 0"/>
          <body pos="-1 0 0">
            ${joint('back')}
            ${link}"0 0 0 -1 0 0"/>
          </body>
        </body>
      </body>
    </worldbody>
    <actuator>${motor('front')}${motor('back')}</actuator>
  </mujoco>`;
}

/** A part of a leg, from the hip down: where its joint is on the part above, its capsule's centre, tilt and half length, and its joint. */
interface Limb {
  readonly joint: readonly [x: number, z: number];
  readonly centre: readonly [x: number, z: number];
  readonly tilt: number;
  readonly half: number;
  readonly range: readonly [low: number, high: number];
  readonly stiffness: number;
  readonly damping: number;
  /** The greatest torque, N·m. */
  readonly torque: number;
}

// prettier-ignore
const LEGS: readonly (readonly Limb[])[] = [
  [
    { joint: [-0.5, 0], centre: [0.1, -0.13], tilt: -3.8, half: 0.145, range: [-0.52, 1.05], stiffness: 240, damping: 6, torque: 120 },
    { joint: [0.16, -0.25], centre: [-0.14, -0.07], tilt: -2.03, half: 0.15, range: [-0.785, 0.785], stiffness: 180, damping: 4.5, torque: 90 },
    { joint: [-0.28, -0.14], centre: [0.03, -0.097], tilt: -0.27, half: 0.094, range: [-0.4, 0.785], stiffness: 120, damping: 3, torque: 60 },
  ],
  [
    { joint: [0.5, 0], centre: [-0.07, -0.12], tilt: 0.52, half: 0.133, range: [-1, 0.7], stiffness: 180, damping: 4.5, torque: 120 },
    { joint: [-0.14, -0.24], centre: [0.065, -0.09], tilt: -0.6, half: 0.106, range: [-1.2, 0.87], stiffness: 120, damping: 3, torque: 60 },
    { joint: [0.13, -0.18], centre: [0.045, -0.07], tilt: -0.6, half: 0.07, range: [-0.5, 0.5], stiffness: 60, damping: 1.5, torque: 30 },
  ],
];

/** Two legs of three parts under a trunk with a head, 14 kg in all, in the plane of x and z. */
function cheetah(): string {
  const capsule = ([x, z]: Limb['centre'], tilt: number, half: number): string =>
    `<geom type="capsule" size="0.046 ${half}" pos="${x} 0 ${z}" axisangle="0 1 0 ${tilt}"/>`;
  const leg = ([limb, ...lower]: readonly Limb[], name: string): string => {
    if (!limb) return '';
    const { joint: [x, z], centre, tilt, half, range, stiffness, damping } = limb; // prettier-ignore
    return `<body pos="${x} 0 ${z}">
      <joint name="${name}" type="hinge" axis="0 1 0" range="${range.join(' ')}" stiffness="${stiffness}" damping="${damping}"/>
      ${capsule(centre, tilt, half)}
      ${leg(lower, `${name}i`)}
    </body>`;
  };
  const motors = LEGS.flatMap((limbs, k) =>
    limbs.map(({ torque }, i) => `<motor joint="${k}${'i'.repeat(i)}" gear="${torque}" ctrlrange="-1 1"/>`),
  );
  const free = 'armature="0" damping="0" stiffness="0" limited="false"';
  return `<mujoco>
    <compiler angle="radian" settotalmass="14"/>
    <option timestep="0.01"/>
    <default>
      <joint armature="0.1" limited="true" solreflimit="0.02 1" solimplimit="0 0.8 0.03"/>
      <geom contype="1" conaffinity="0" friction="0.4 0.1 0.1" solref="0.02 1" solimp="0 0.8 0.01"/>
    </default>
    <worldbody>
      <geom type="plane" size="40 40 40" conaffinity="1"/>
      <body pos="0 0 0.7">
        <joint type="slide" axis="1 0 0" ${free}/>
        <joint type="slide" axis="0 0 1" ${free}/>
        <joint type="hinge" axis="0 1 0" ${free}/>
        ${capsule([0, 0], Math.PI / 2, 0.5)}
        ${capsule([0.6, 0.1], 0.87, 0.15)}
        ${LEGS.map((limbs, k) => leg(limbs, String(k))).join('')}
      </body>
    </worldbody>
    <actuator>${motors.join('')}</actuator>
  </mujoco>`;
}

interface Kind {
  readonly xml: string;
  /** Simulated steps of an action. */
  readonly frames: number;
  /** The price of an action's squared length. */
  readonly price: number;
  /** Positions that the robot does not see. */
  readonly hidden: number;
  /** An initial velocity. */
  readonly velocity: (uniform: () => number) => number;
}

const uniformIn = (range: number, uniform: () => number): number => range * (2 * uniform() - 1);
const normal = (uniform: () => number): number =>
  Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());

const KINDS = {
  Swimmer: { xml: swimmer(), frames: 4, price: 1e-4, hidden: 2, velocity: (uniform) => uniformIn(0.1, uniform) },
  HalfCheetah: { xml: cheetah(), frames: 5, price: 0.1, hidden: 1, velocity: (uniform) => 0.1 * normal(uniform) },
} satisfies Record<string, Kind>;

export type WalkerName = keyof typeof KINDS;
export const WALKERS = Object.keys(KINDS) as WalkerName[];

export interface EpisodeOptions {
  /** Determines the initial state. */
  readonly seed: string | number;
  /** Actions; default: 1000. */
  readonly actions?: number;
  /** What the policy sees of a state s: (s − centre)·scale. Default: s. */
  readonly view?: { readonly centre: ArrayLike<number>; readonly scale: ArrayLike<number> };
  /** Called with every state that the policy acts on, before its view. Not to be kept. */
  readonly onState?: (state: Float64Array) => void;
}

export interface Walker {
  /** Numbers of a state, and of an action. */
  readonly states: number;
  readonly actions: number;
  /** The reward of an episode under a linear policy, a row of numbers for each action. */
  readonly episode: (policy: ArrayLike<number>, options: EpisodeOptions) => number;
}

export async function walker(name: WalkerName): Promise<Walker> {
  const { xml, frames, price, hidden, velocity }: Kind = KINDS[name];
  const mujoco = await loadMujoco();
  const model = mujoco.MjModel.from_xml_string(xml);
  const data = new mujoco.MjData(model);
  const { nq, nv, nu } = model;
  const states = nq + nv - hidden;
  return {
    states,
    actions: nu,
    episode(policy, { seed, actions = 1000, view, onState }) {
      mujoco.mj_resetData(model, data);
      const { qpos, qvel, ctrl } = data as Record<'qpos' | 'qvel' | 'ctrl', Float64Array>;
      let drawn = 0;
      const uniform = (): number =>
        createHash('sha256').update(`${name} ${seed} ${drawn++}`).digest().readUInt32LE() / 2 ** 32;
      for (let i = 0; i < nq; i++) qpos[i]! += uniformIn(0.1, uniform);
      for (let i = 0; i < nv; i++) qvel[i]! += velocity(uniform);
      mujoco.mj_forward(model, data);
      const state = new Float64Array(states);
      let reward = 0;
      for (let t = 0; t < actions; t++) {
        state.set(qpos.subarray(hidden));
        state.set(qvel, nq - hidden);
        onState?.(state);
        if (view) for (let j = 0; j < states; j++) state[j] = (state[j]! - view.centre[j]!) * view.scale[j]!;
        let cost = 0;
        for (let i = 0; i < nu; i++) {
          let action = 0;
          for (let j = 0; j < states; j++) action += policy[i * states + j]! * state[j]!;
          ctrl[i] = Math.min(Math.max(action, -1), 1);
          cost += price * ctrl[i]! ** 2;
        }
        const before = qpos[0]!;
        for (let frame = 0; frame < frames; frame++) mujoco.mj_step(model, data);
        reward += (qpos[0]! - before) / (0.01 * frames) - cost;
      }
      return reward;
    },
  };
}
