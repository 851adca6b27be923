import { Empty } from '../parts';

export function NoNodes() {
  return (
    <Empty title="No nodes yet" command={`hearth forge agent --url ${location.origin} --token-file forge.token`}>
      <p>A node comes with its agent. On each machine that may work for this fleet, with a copy of the server's forge.token:</p>
    </Empty>
  );
}
