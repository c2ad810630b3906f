import assert from 'node:assert/strict';
import { plotSvg } from '../../bench/support/plot.js';

describe('plots', () => {
  it('draw points where their values are', () => {
    const points = [{ x: 1, y: 10 }, { x: 3, y: 1000, low: 100, high: 10_000 }]; // prettier-ignore
    const series = [
      { name: 'a < b', colour: 0, points },
      { name: 'theirs', colour: 0, points: [{ x: 2, y: 100 }], published: true },
    ];
    const axes = { x: { label: 'd', ticks: [1, 2, 3] }, y: { label: 'hours', logarithmic: true } };
    const svg = plotSvg({ title: 'T & U', ...axes, series }, ['footnote', 'another']);
    assert.ok(svg.includes('a &lt; b') && svg.includes('T &amp; U') && svg.includes('10,000'));
    const circles = [...svg.matchAll(/<path d="M([\d.]+) ([\d.]+) m-4\.5 0a[^>]* fill="(#\w+)"/g)];
    const [first, second, , theirs] = circles.map(([, x, y, fill]) => ({ x: Number(x), y: Number(y), fill }));
    assert.equal(circles.length, 5);
    assert.ok(Math.abs(theirs!.x - (first!.x + second!.x) / 2) < 0.2);
    assert.ok(Math.abs(theirs!.y - (first!.y + second!.y) / 2) < 0.2 && first!.y > second!.y);
    assert.equal(theirs!.fill, '#ffffff');
    assert.notEqual(first!.fill, '#ffffff');
  });

  it('draw categories in rows from the top, without lines between them', () => {
    const points = [{ x: 10, y: 0 }, { x: 1000, y: 1 }, { x: 100, y: 2 }]; // prettier-ignore
    const series = [{ name: 'rate', colour: 1, points }];
    const svg = plotSvg(
      {
        title: 'T',
        x: { label: 'per second', logarithmic: true },
        y: { names: ['one', 'two', 'a long name'] },
        series,
      },
      ['footnote'],
    );
    assert.ok(!svg.includes('<polyline') && !/NaN|undefined|Infinity/.test(svg));
    for (const name of ['one', 'two', 'a long name']) assert.ok(svg.includes(`>${name}</text>`), name);
    const [first, second, third] = [...svg.matchAll(/<path d="M([\d.]+) ([\d.]+) /g)].map(([, x, y]) => ({ x: Number(x), y: Number(y) })); // prettier-ignore
    assert.ok(Math.abs(third!.x - (first!.x + second!.x) / 2) < 0.2);
    assert.ok(Math.abs(second!.y - (first!.y + third!.y) / 2) < 0.2 && first!.y < second!.y);
  });
});
