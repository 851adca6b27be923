// Where in the page one is: the part of the address after '#', so that links, reloads and the back button work.
import { useEffect, useState } from 'preact/hooks';

// "#/jobs/ftjob-1" as ["jobs", "ftjob-1"].
const read = () => location.hash.replace(/^#\/?/, '').split('/').filter(Boolean).map(decodeURIComponent);

export const hrefOf = (...words: string[]) => `#/${words.map(encodeURIComponent).join('/')}`;
export const go = (...words: string[]) => { location.hash = hrefOf(...words); };

export function useRoute(): string[] {
  const [route, setRoute] = useState(read);
  useEffect(() => {
    const onChange = () => setRoute(read());
    addEventListener('hashchange', onChange);
    return () => removeEventListener('hashchange', onChange);
  }, []);
  return route;
}
