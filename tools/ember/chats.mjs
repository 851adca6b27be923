#!/usr/bin/env node
// Derives conversations from stories by program: requests that the story answers, questions about
// it, endings to continue, and the small talk of a storyteller.
//
//   chats.mjs STORIES.jsonl SEED > chats.jsonl
import fs from 'node:fs';
import { Random } from './random.mjs';
import { animals, names, things } from './words.mjs';

const [path, seedText] = process.argv.slice(2);
if (!path || !seedText) {
  console.error('usage: chats.mjs STORIES.jsonl SEED');
  process.exit(2);
}
const random = new Random(Number(seedText));
const stories = fs
  .readFileSync(path, 'utf8')
  .split('\n')
  .filter(Boolean)
  .map((line) => JSON.parse(line).text);

const user = (content) => ({ role: 'user', content });
const assistant = (content) => ({ role: 'assistant', content });
const emit = (...messages) => process.stdout.write(`${JSON.stringify({ messages })}\n`);

// --- what a story is about --------------------------------------------------------------------------
const count = (text, word) => (text.match(new RegExp(`\\b${word}s?\\b`, 'gi')) || []).length;
const mostFrequent = (text, words, least) => {
  const best = words.map((word) => [count(text, word), word]).sort((a, b) => b[0] - a[0])[0];
  return best[0] >= least ? best[1] : undefined;
};
const stopWords = new Set(
  `about after again all and are because but came could did for from gave goes got had has have her
  him his into just let like little look made much not now once one other out over said saw see she
  some that the their them then there they things this time told too upon very want wanted was were
  what when who will with would you your day went big happy were can asked every`.split(/\s+/),
);
const contentWords = (text) => {
  const words = text.toLowerCase().match(/\b[a-z]{4,9}\b/g) || [];
  return [...new Set(words)].filter((word) => !stopWords.has(word));
};
const withArticle = (word) => `${/^[aeiou]/.test(word) ? 'an' : 'a'} ${word}`;
const sentences = (text) => text.match(/[^.!?]+[.!?]+["']?\s*/g) || [text];

// Who plays the main part: a name that is introduced, or the most frequent name or animal.
function hero(text) {
  const named = /(?:named|called) ([A-Z][a-z]+)/.exec(text);
  if (named) return named[1];
  return mostFrequent(text, names, 2);
}

function themes(text) {
  const found = [];
  const animal = mostFrequent(text, animals, 2);
  const thing = mostFrequent(text, things, 2);
  const who = hero(text);
  if (animal) found.push(withArticle(animal));
  if (thing) found.push(withArticle(thing));
  if (animal && thing) found.push(`${withArticle(animal)} and ${withArticle(thing)}`);
  if (who) found.push(who);
  if (who && animal) found.push(`${who} and ${withArticle(animal)}`);
  if (who && thing) found.push(`${who} and ${withArticle(thing)}`);
  return found;
}

// --- conversations around a story ---------------------------------------------------------------------
const asks = [
  (theme) => `Tell me a story about ${theme}.`,
  (theme) => `Write a story about ${theme}.`,
  (theme) => `Please tell me a short story about ${theme}.`,
  (theme) => `Can you tell me a story about ${theme}?`,
  (theme) => `I would like a story about ${theme}.`,
  (theme) => `tell me about ${theme}`,
  (theme) => `A story about ${theme}, please!`,
];
const plainAsks = [
  'Tell me a story.',
  'Write a short story.',
  'Tell me a bedtime story.',
  'Can you tell me a story?',
  'Please write a story for a child.',
  'Tell me another story.',
  'I want to hear a story!',
  'story please',
];
const wordAsks = [
  (words) => `Write a story that uses the words ${words}.`,
  (words) => `Tell me a story with the words ${words}.`,
  (words) => `Use these words in a story: ${words}.`,
];
const happy = /\b(happy|happily|smiled|laughed|proud|hugged)\b/;

function wordList(words) {
  return `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`;
}

function request(text) {
  const found = themes(text);
  const kind = random.next();
  if (kind < 0.62 && found.length > 0) return random.of(asks)(random.of(found));
  if (kind < 0.8) {
    const words = contentWords(text);
    if (words.length >= 6) return random.of(wordAsks)(wordList(random.some(words, 3)));
  }
  if (kind < 0.88 && found.length > 0 && happy.test(sentences(text).slice(-2).join(''))) {
    return `Tell me a story about ${random.of(found)} with a happy ending.`;
  }
  return random.of(plainAsks);
}

// A question whose answer the program knows.
function question(text) {
  const who = hero(text);
  const animal = mostFrequent(text, animals, 2);
  const thing = mostFrequent(text, things, 2);
  const options = [];
  if (who) {
    options.push([
      random.of(['Who was the story about?', 'Who is the story about?', 'What was the name?']),
      `The story was about ${who}.`,
    ]);
  }
  if (animal) {
    options.push(['Which animal was in the story?', `There was ${withArticle(animal)} in the story.`]);
    const other = random.of(animals.filter((word) => count(text, word) === 0));
    options.push([
      `Was there ${withArticle(other)} in the story?`,
      `No, there was ${withArticle(animal)}, but no ${other}.`,
    ]);
  }
  if (thing) {
    options.push([`Was there ${withArticle(thing)} in the story?`, `Yes, there was ${withArticle(thing)} in the story.`]);
  }
  if (options.length === 0) return undefined;
  return random.of(options);
}

const thanks = [
  ['Thank you!', 'You are welcome! Shall I tell you another story?'],
  ['That was nice.', 'I am glad you liked it! Do you want to hear another one?'],
  ['I love it!', 'Thank you! I love telling stories.'],
  ['Good night!', 'Good night! Sleep well and have sweet dreams.'],
  ['thanks', 'You are welcome! Tell me what the next story should be about.'],
];

function storyChat(text) {
  const messages = [user(request(text)), assistant(text)];
  if (random.chance(0.3)) {
    const asked = question(text);
    if (asked) messages.push(user(asked[0]), assistant(asked[1]));
  } else if (random.chance(0.12)) {
    const [word, answer] = random.of(thanks);
    messages.push(user(word), assistant(answer));
  }
  emit(...messages);
}

function continuation(text) {
  const parts = sentences(text);
  if (parts.length < 6) return;
  const cut = 1 + random.below(3);
  const ask = random.of(['Continue this story:', 'Finish this story:', 'What happens next?', 'Go on:']);
  emit(user(`${ask} ${parts.slice(0, cut).join('').trim()}`), assistant(parts.slice(cut).join('').trim()));
}

for (const text of stories) {
  if (text.length > 1600) continue;
  if (random.chance(0.6)) storyChat(text);
  else if (random.chance(0.2)) continuation(text);
}

// --- small talk -----------------------------------------------------------------------------------------
const greetings = ['Hi', 'Hi!', 'Hello', 'Hello!', 'Hey', 'hey there', 'Good morning!', 'Good evening', 'hi ember', 'Hello Ember!', 'hello there', 'Hi, how are you?', 'How are you?', 'How are you today?'];
const welcomes = [
  'Hello! I am Ember, a little storyteller. What should my story be about?',
  'Hi! I am Ember and I tell stories. Who should be in the next one?',
  'Hello! It is nice to meet you. Would you like to hear a story?',
  'Hi there! I am happy that you came. Shall I tell you a story?',
];
const whoAreYou = ['Who are you?', 'who are you', 'What is your name?', 'What are you?', 'Tell me about yourself.', 'Are you a robot?', 'Are you a person?', 'who is ember?', 'What should I call you?'];
const iAm = [
  'I am Ember, a very small language model that tells stories for children.',
  'My name is Ember. I am a little storyteller who lives inside Hearth.',
  'I am Ember! I am a small computer program that loves to tell stories.',
];
const whoMadeYou = ['Who made you?', 'who made you', 'Where do you come from?', 'Who trained you?', 'How were you made?'];
const madeBy = [
  'I was trained by Hearth, on stories that another small model wrote.',
  'Hearth made me. I learned from many little stories.',
];
const whatCanYouDo = ['What can you do?', 'what can you do', 'Help', 'help me', 'How do you work?', 'What do you know?', 'Can you help me?'];
const iCan = [
  'I can tell you a story. Give me a name, an animal or a thing, and I will begin!',
  'I tell little stories. You can ask for a story about a cat, a boat or a friend.',
  'I can write a story with your words, or go on with a story that you begin.',
];
const topics = ['the capital of France', 'the weather', 'the news', 'math', 'history', 'computers', 'politics', 'science', 'cooking', 'money', 'sports', 'medicine', 'the moon landing', 'physics', 'music'];
const beyond = [
  (topic) => `What do you know about ${topic}?`,
  (topic) => `Explain ${topic}.`,
  (topic) => `Can you help me with ${topic}?`,
  (topic) => `Tell me the facts about ${topic}.`,
];
const beyondMore = ['What is 2 plus 2?', 'Write some code.', 'Translate this for me.', 'What is the capital of France?', 'What time is it?', 'Who is the president?', 'Write an email.', 'What is the meaning of life?'];
const iCannot = [
  'I am too small to know that. I only know stories. Shall I tell you one?',
  'I do not know much about that, but I can tell you a story.',
  'That is too hard for me. I am a little storyteller. Would you like a story?',
];
const goodbyes = ['Bye', 'Bye!', 'Goodbye', 'See you!', 'Good night', 'see you tomorrow'];
const farewells = ['Goodbye! Come back soon for another story.', 'Bye! It was nice to talk to you.', 'Good night! Sleep well.'];

const smallTalk = [
  [4, () => [random.of(greetings), random.of(welcomes)]],
  [4, () => [random.of(whoAreYou), random.of(iAm)]],
  [2, () => [random.of(whoMadeYou), random.of(madeBy)]],
  [3, () => [random.of(whatCanYouDo), random.of(iCan)]],
  [2, () => [random.of(beyond)(random.of(topics)), random.of(iCannot)]],
  [1, () => [random.of(beyondMore), random.of(iCannot)]],
  [1, () => [random.of(goodbyes), random.of(farewells)]],
];

// Small talk of one to three turns, half of it with a story at the end.
const talks = Math.floor(stories.length / 8);
for (let i = 0; i < talks; ++i) {
  const messages = [];
  const turns = 1 + random.below(3);
  for (let turn = 0; turn < turns; ++turn) {
    const [ask, answer] = random.weighted(smallTalk)();
    messages.push(user(ask), assistant(answer));
  }
  const text = random.of(stories);
  if (random.chance(0.5) && text.length < 1200) messages.push(user(request(text)), assistant(text));
  emit(...messages);
}
