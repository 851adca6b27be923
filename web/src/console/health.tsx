// Whether the server is well, what it turned away and why, and who changed what.
import { ask } from '../api';
import { count, duration, percent } from '../format';
import { Figure, Meter, PageHead, Pill, Problem } from '../parts';
import { usePoll } from '../poll';
import { AuditLog } from './audit_log';
import type { PageProps } from './console';
import { Reasons } from './reasons';
import { isAdmin } from './session';

interface Status {
  model: string;
  version: string;
  started_at: number;
  ready: boolean;
  healthy: boolean;
  connections: number;
  requests: { running: number; waiting: number; waiting_for_adapters: number; queued: number };
  kv_cache: { block_tokens: number; blocks: number; blocks_used: number; blocks_cached: number };
  adapters: { memory: number; loading: number; mapped: number; stored: number; pages: number; pages_taken: number; loads: number; evictions: number };
  tokens: { prompt: number; cached: number; generated: number; preemptions: number };
  finished: Record<string, number>;
  rejections: Record<string, number>;
  streams_cut: Record<string, number>;
}

function Share({ name, used, whole, words }: { name: string; used: number; whole: number; words: string }) {
  const share = whole > 0 ? used / whole : 0;
  return <div class="share-of"><span>{name}<b>{percent(share)}</b></span><Meter share={share} label={name} tone={share > 0.95 ? 'bad' : ''} /><span class="soft">{words}</span></div>;
}

export function Health({ session }: PageProps) {
  const { data: now, error } = usePoll((signal) => ask<Status>(session.caller, 'v1/hearth/status', { signal }), 2000, [session.caller.key]);
  if (!now) return <Problem text={error} />;
  const { kv_cache: cache, adapters, requests, tokens } = now;
  const state = !now.healthy ? 'unhealthy' : now.ready ? 'ready' : 'draining';
  const held = (blocks: number) => `${count(blocks * cache.block_tokens)} tokens`;
  return (
    <>
      <PageHead title="Health" about={`${now.model}, Hearth ${now.version}, up for ${duration(Date.now() / 1000 - now.started_at)}`}><Pill state={state} /></PageHead>
      <Problem text={error ? `It does not answer: ${error}` : ''} />
      <Problem text={now.healthy ? '' : 'The last step failed: the log of the server has why.'} />
      <div class="figures">
        <Figure label="running" value={count(requests.running)} />
        <Figure label="waiting" value={count(requests.waiting)} />
        <Figure label="connections" value={count(now.connections)} />
        <Figure label="preemptions" value={count(tokens.preemptions)} />
        <Figure label="generated since the start" value={count(tokens.generated)} unit="tokens" />
      </div>
      <div class="halves">
        <section class="card">
          <h2>Memory</h2>
          <Share name="KV cache in use" used={cache.blocks_used} whole={cache.blocks} words={`${held(cache.blocks_used)} of ${held(cache.blocks)}; ${held(cache.blocks_cached)} kept for later`} />
          <Share name="Adapters" used={adapters.pages_taken} whole={adapters.pages} words={`${adapters.memory} in memory, ${adapters.loading} loading, ${adapters.mapped} mapped, ${adapters.stored} stored`} />
          <Share name="Prompt tokens found computed" used={tokens.cached} whole={tokens.prompt} words={`${count(tokens.cached)} of ${count(tokens.prompt)}`} />
        </section>
        <Reasons title="Turned away" counts={now.rejections} none="Nobody was turned away since the start." tone="bad" />
        <Reasons title="How answers ended" counts={now.finished} none="No answer yet." />
        {Object.keys(now.streams_cut).length > 0 && <Reasons title="Streams cut" counts={now.streams_cut} none="" tone="bad" />}
      </div>
      {isAdmin(session.who) && <AuditLog session={session} />}
    </>
  );
}
