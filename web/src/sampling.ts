// The knobs of the sampling panel as data: one row draws one control, its help, and its part of the request.

import { Model } from './api';

export interface Knob {
  name: string;
  label: string;
  help: string;
  min: number;
  max: number;
  step: number;
  neutral: number; // the value that changes nothing
  group: 'Length' | 'Randomness' | 'Repetition';
}

export const knobs: Knob[] = [
  {
    name: 'max_tokens', label: 'Answer length', group: 'Length', min: 16, max: 4096, step: 16, neutral: -1,
    help: 'The most tokens an answer may have. A token is about three quarters of an English word.',
  },
  {
    name: 'temperature', label: 'Temperature', group: 'Randomness', min: 0, max: 2, step: 0.05, neutral: 1,
    help: 'How adventurous the choice is. 0 always takes the most likely token; above 1, unlikely ones come up more often.',
  },
  {
    name: 'top_p', label: 'Top P', group: 'Randomness', min: 0.05, max: 1, step: 0.01, neutral: 1,
    help: 'Choose among the likeliest tokens that together hold this share of the probability. 1 keeps all.',
  },
  {
    name: 'top_k', label: 'Top K', group: 'Randomness', min: 0, max: 200, step: 1, neutral: 0,
    help: 'Choose among this many likeliest tokens. 0 keeps all.',
  },
  {
    name: 'min_p', label: 'Min P', group: 'Randomness', min: 0, max: 0.5, step: 0.01, neutral: 0,
    help: 'Drop tokens less likely than this share of the likeliest one. 0 drops none; 0.05 is a good start.',
  },
  {
    name: 'repetition_penalty', label: 'Repetition penalty', group: 'Repetition', min: 0.8, max: 1.6, step: 0.01, neutral: 1,
    help: 'Above 1, tokens that occurred before, in question or answer, become less likely.',
  },
  {
    name: 'presence_penalty', label: 'Presence penalty', group: 'Repetition', min: -2, max: 2, step: 0.05, neutral: 0,
    help: 'Lowers tokens that occurred in the answer at all: pushes towards new subjects.',
  },
  {
    name: 'frequency_penalty', label: 'Frequency penalty', group: 'Repetition', min: -2, max: 2, step: 0.05, neutral: 0,
    help: 'Lowers tokens by how often they occurred in the answer: fights loops.',
  },
];

export interface Settings {
  values: Record<string, number>; // of the knobs that were turned
  seed: string;
  stop: string;
}

export const defaults: Settings = {
  values: { max_tokens: 512 },
  seed: '',
  stop: '',
};

// What the server does where a request is silent: as the model's authors recommend, or nothing.
export const silentValue = (knob: Knob, model?: Model) => model?.sampling?.[knob.name] ?? knob.neutral;

// The fields of a request that differ from what the server does anyway.
export function requestFields(settings: Settings, model?: Model): Record<string, unknown> {
  const fields: Record<string, unknown> = {};
  for (const knob of knobs) {
    const value = settings.values[knob.name];
    if (value !== undefined && value !== silentValue(knob, model)) fields[knob.name] = value;
  }
  if (/^\d+$/.test(settings.seed)) fields.seed = Number(settings.seed);
  const stop = settings.stop.split('\n').filter((line) => line !== '');
  if (stop.length > 0) fields.stop = stop;
  return fields;
}
