// Clients of a deployment: so many at once, each asks again and again, and every answer that is not whole is kept.
export class Load {
  constructor(url) {
    this.url = url;
    this.wanted = 0;
    this.running = 0;
    this.done = 0;
    this.failures = [];
  }

  set(streams) {
    this.wanted = streams;
    while (this.running < this.wanted) {
      ++this.running;
      this.run();
    }
  }

  async run() {
    while (this.running <= this.wanted) {
      try {
        await this.ask(this.done % 3 === 0);
        ++this.done;
      } catch (error) {
        this.failures.push(String(error));
      }
    }
    --this.running;
  }

  async ask(stream) {
    const answer = await fetch(`${this.url}/v1/completions`, {
      method: 'POST', headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ model: this.model, prompt: 'Once upon a time', max_tokens: 48, ignore_eos: true, temperature: 0, stream }),
    });
    const text = await answer.text();
    if (answer.status !== 200) throw new Error(`${answer.status}: ${text}`);
    if (stream ? !text.includes('[DONE]') : !JSON.parse(text).choices[0].text) throw new Error(`half an answer: ${text.slice(-200)}`);
  }
}
