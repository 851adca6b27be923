// A small generator (mulberry32) whose stream depends on the seed only.
export class Random {
  constructor(seed) {
    this.state = seed >>> 0;
  }

  next() {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let x = this.state;
    x = Math.imul(x ^ (x >>> 15), x | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  }

  below(bound) {
    return Math.floor(this.next() * bound);
  }

  of(list) {
    return list[this.below(list.length)];
  }

  chance(probability) {
    return this.next() < probability;
  }

  // kinds: [weight, value] pairs.
  weighted(kinds) {
    let left = this.next() * kinds.reduce((sum, [weight]) => sum + weight, 0);
    for (const [weight, value] of kinds) {
      left -= weight;
      if (left < 0) return value;
    }
    return kinds.at(-1)[1];
  }

  // `count` different items, in the order of the list.
  some(list, count) {
    const picked = new Set();
    while (picked.size < Math.min(count, list.length)) picked.add(this.below(list.length));
    return [...picked].sort((a, b) => a - b).map((i) => list[i]);
  }
}
