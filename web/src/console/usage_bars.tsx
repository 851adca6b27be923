// A column a day, in the colours of the groups.
import { count, day } from '../format';
import { Group, Page, nameOf, tokensOf } from './usage_groups';

const total = (bucket: Page['data'][number]) => bucket.results.reduce((sum, result) => sum + tokensOf(result), 0);

export function UsageBars({ page, group, color }: { page: Page; group: Group; color: Map<string, string> }) {
  const most = Math.max(1, ...page.data.map(total));
  const order = [...color.keys()];
  return (
    <div class="columns" role="img" aria-label={`Tokens a day, at most ${count(most)}`}>
      <span class="most">{count(most)} tokens</span>
      {page.data.map((bucket) => {
        const parts = [...bucket.results].sort((a, b) => order.indexOf(nameOf(b, group)) - order.indexOf(nameOf(a, group)));
        const words = [day(bucket.start_time), ...parts.map((part) => `${nameOf(part, group)}: ${count(tokensOf(part))}`).reverse()].join('\n');
        return (
          <div class="column" title={words}>
            {parts.map((part) => <span style={{ height: `${(100 * tokensOf(part)) / most}%`, background: `var(${color.get(nameOf(part, group))})` }} />)}
          </div>
        );
      })}
      <span class="from">{day(page.data[0]?.start_time ?? 0)}</span>
      <span class="until">today</span>
    </div>
  );
}
