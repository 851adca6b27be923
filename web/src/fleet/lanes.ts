// Where a node's devices stand in the timeline.
import { NodeView } from './forge';

export interface Row {
  top: number;
  lane: number; // the height of one device
  tall: number; // of all
}

const nodesShown = 24;
const gap = 6;

// Fewer devices get higher lanes, so that names fit; a node is at least as high as its own name.
const laneOf = (devices: number) => Math.max(3, Math.min(16, Math.floor(48 / Math.max(1, devices))));

export function lanesOf(nodes: NodeView[]): { rows: Map<string, Row>; height: number; hidden: number } {
  const shown = [...nodes].sort((a, b) => b.busy - a.busy).slice(0, nodesShown).map(({ name }) => name);
  const rows = new Map<string, Row>();
  let top = 2;
  for (const node of nodes) {
    if (!shown.includes(node.name)) continue;
    const lane = laneOf(node.devices.length);
    const tall = Math.max(14, lane * node.devices.length);
    rows.set(node.name, { top, lane, tall });
    top += tall + gap;
  }
  return { rows, height: top, hidden: nodes.length - rows.size };
}

// [0, 1, 2, 5] as [[0, 2], [5, 5]]: devices beside each other are one bar.
export function runsOf(devices: number[]): [number, number][] {
  const runs: [number, number][] = [];
  for (const device of [...new Set(devices)].sort((a, b) => a - b)) {
    const last = runs[runs.length - 1];
    if (last && last[1] === device - 1) last[1] = device;
    else runs.push([device, device]);
  }
  return runs;
}
