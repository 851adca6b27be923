// One page, few files, relative addresses: the result is embedded in the program and served from /.
import preact from '@preact/preset-vite';
import { defineConfig } from 'vite';

const server = process.env.HEARTH_URL ?? 'http://127.0.0.1:8000';

export default defineConfig({
  base: './',
  plugins: [preact()],
  build: { target: 'es2021', assetsInlineLimit: 0, modulePreload: false },
  // `npm run dev` shows the page with hot reload in front of a running server.
  server: { proxy: Object.fromEntries(['/v1', '/version', '/health', '/tokenize'].map((path) => [path, server])) },
});
