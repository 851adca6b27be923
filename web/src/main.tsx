import { render } from 'preact';
import { useEffect, useState } from 'preact/hooks';

import { About, about } from './api';
import { App } from './app';
import { Fleet } from './fleet/fleet';
import './style.css';
import './console.css';
import './fleet.css';

// The same page for a server of models and for the scheduler of a fleet.
function Page() {
  const [server, setServer] = useState<About | null>(null);
  useEffect(() => { about().then(setServer, () => setServer({ version: '', service: 'serve' })); }, []);
  if (!server) return null;
  return server.service === 'forge' ? <Fleet version={server.version} /> : <App version={server.version} />;
}

render(<Page />, document.getElementById('app')!);
