// Who is signed in, and what the key may do.
import { useEffect, useState } from 'preact/hooks';

import { ApiError, Caller, ask } from '../api';

export interface Who {
  project: string;
  api_key_id: string;
  role: 'admin' | 'tenant';
  scopes: string[]; // none: all
  open: boolean; // the server has no keys of tenants
}

// What every page of the console is given.
export interface Session {
  who: Who;
  caller: Caller;
  project: string; // an admin's choice; empty: all
  theme: string;
  onKey: (key: string) => void;
  onChat: (model: string) => void;
}

export const isAdmin = (who: Who) => who.role === 'admin';
export const may = (who: Who, scope: string) => scope === '' || who.scopes.length === 0 || who.scopes.includes(scope);

// For lists of what belongs to somebody: an admin sees everybody's unless one is chosen.
export const ofProject = ({ who, project }: Session) => (isAdmin(who) ? `project_id=${encodeURIComponent(project || '*')}` : '');

// To ask about one thing that a list showed, an admin speaks for its owner.
export const ownedBy = ({ who, caller }: Session, project: string | null): Caller =>
  (isAdmin(who) && project && project !== who.project ? { ...caller, project } : caller);

export type SignIn = { state: 'looking' } | { state: 'out'; problem: string } | { state: 'in'; who: Who };

export function useSignIn(key: string): SignIn {
  const [result, setResult] = useState<SignIn>({ state: 'looking' });
  useEffect(() => {
    const controller = new AbortController();
    setResult({ state: 'looking' });
    ask<Who>({ key }, 'v1/hearth/whoami', { signal: controller.signal }).then(
      (who) => setResult({ state: 'in', who }),
      (error) => {
        if (controller.signal.aborted) return;
        const unknown = error instanceof ApiError && error.status === 401;
        setResult({ state: 'out', problem: unknown ? (key ? 'This server does not know that key, or it has expired.' : '') : error.message });
      },
    );
    return () => controller.abort();
  }, [key]);
  return result;
}
