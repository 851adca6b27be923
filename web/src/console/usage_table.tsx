import { count, percent, ptu } from '../format';
import { Sum } from './usage_groups';

export function UsageTable({ all, color }: { all: Sum[]; color: Map<string, string> }) {
  return (
    <div class="table-of">
      <table>
        <thead><tr><th>Who</th><th class="n">Requests</th><th class="n">Prompt tokens</th><th class="n">Found computed</th><th class="n">Generated</th><th class="n">PTU-minutes</th></tr></thead>
        <tbody>
          {all.map((each) => (
            <tr key={each.name}>
              <td class="name"><i class="chip" style={{ '--mark': `var(${color.get(each.name)})` }} />{each.name}</td>
              <td class="n">{count(each.requests)}</td>
              <td class="n">{count(each.prompt)}</td>
              <td class="n">{each.prompt > 0 ? percent(each.cached / each.prompt) : '–'}</td>
              <td class="n">{count(each.generated)}</td>
              <td class="n">{ptu(each.work)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
