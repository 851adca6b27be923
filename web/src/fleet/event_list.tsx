import { clock } from '../format';
import { Note } from './forge';

const loud: Record<string, string> = { node_lost: 'bad', health: 'bad', stopping: 'busy', node_up: 'good', drained: 'busy' };

export function EventList({ notes, onJob, onNode }: { notes: Note[]; onJob: (id: number) => void; onNode: (name: string) => void }) {
  const press = (note: Note) => {
    if (note.job !== undefined) onJob(note.job);
    else if (note.node) onNode(note.node);
  };
  return (
    <section class="table-of events">
      <h2>Events<small>live</small></h2>
      <ol class="log" aria-label="Events">
        {notes.map((note) => (
          <li key={note.number} class={loud[note.kind] ?? ''}><time>{clock(note.at / 1000)}</time><button class="link plain" onClick={() => press(note)}>{note.text}</button></li>
        ))}
      </ol>
      {notes.length === 0 && <p class="soft">Nothing happened yet.</p>}
    </section>
  );
}
