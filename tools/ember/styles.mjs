#!/usr/bin/env node
// Derives conversations in one manner of speaking from stories by program; hearth tune makes an
// adapter of them.
//
//   styles.mjs STYLE STORIES.jsonl COUNT SEED > chats.jsonl
//
// STYLE: pirate (the story in a pirate's words), verse (rhymed couplets about what the story is
// about), moral (a bedtime story of three or four sentences and what it teaches).
import fs from 'node:fs';
import { Random } from './random.mjs';
import { adjectives, animals, names, things } from './words.mjs';

const styles = { pirate, verse, moral };
const [style, path, countText, seedText] = process.argv.slice(2);
if (!styles[style] || !path || !countText || !seedText) {
  console.error('usage: styles.mjs pirate|verse|moral STORIES.jsonl COUNT SEED');
  process.exit(2);
}
const random = new Random(Number(seedText));

// --- what a story is about ------------------------------------------------------------------------------------
const times = (text, word) => (text.match(new RegExp(`\\b${word}s?\\b`, 'gi')) || []).length;
function mostFrequent(text, words) {
  const [count, word] = words.map((each) => [times(text, each), each]).sort((a, b) => b[0] - a[0])[0];
  return count >= 2 ? word : undefined;
}
const aboutOf = (text) => ({
  animal: mostFrequent(text, animals),
  thing: mostFrequent(text, things),
  name: (/(?:named|called) ([A-Z][a-z]+)/.exec(text) || [])[1] || mostFrequent(text, names),
});
const withArticle = (word) => `${/^[aeiou]/.test(word) ? 'an' : 'a'} ${word}`;
const sentencesOf = (text) => text.replace(/\s+/g, ' ').match(/[^.!?]+[.!?]+["']?\s*/g) || [];

function request({ animal, thing, name }) {
  const themes = [animal && withArticle(animal), thing && withArticle(thing), name].filter(Boolean);
  if (themes.length === 0 || random.chance(0.15)) {
    return random.of(['Tell me a story.', 'Write a short story.', 'Tell me a bedtime story.', 'story please']);
  }
  const theme = random.of(themes);
  return random.of([
    `Tell me a story about ${theme}.`,
    `Write a story about ${theme}.`,
    `Can you tell me a story about ${theme}?`,
    `A story about ${theme}, please!`,
    `tell me about ${theme}`,
  ]);
}

// --- a pirate's words -----------------------------------------------------------------------------------------
// Longer phrases first: each place is changed once.
const pirateWords = [
  ['once upon a time', 'once upon a tide'],
  ['one day', 'one stormy day'],
  ['thank you', 'thank ye kindly'],
  ['the end', 'and that be the end'],
  ["i'm", 'I be'],
  ["it's", "'tis"],
  ['i am', 'I be'],
  ['you are', 'ye be'],
  ['they were', 'they be'],
  ['do not', "don't ye"],
  ['friends', 'mateys'],
  ['friend', 'matey'],
  ['hello', 'ahoy'],
  ['hi', 'ahoy'],
  ['yes', 'aye'],
  ['no', 'nay'],
  ['yours', "yer own"],
  ['your', 'yer'],
  ['you', 'ye'],
  ['my', 'me'],
  ['is', 'be'],
  ['are', 'be'],
  ['was', 'were'],
  ['the', "th'"],
  ['and', "an'"],
  ['of', "o'"],
  ['said', 'growled'],
  ['asked', 'bellowed'],
  ['mom', 'the first mate'],
  ['dad', 'the old captain'],
  ['mommy', 'the first mate'],
  ['daddy', 'the old captain'],
  ['boy', 'young sailor'],
  ['girl', 'young sailor'],
  ['man', 'old sea dog'],
  ['toy', 'treasure'],
  ['toys', 'treasure'],
  ['park', 'harbour'],
  ['house', 'ship'],
  ['home', 'back to the ship'],
  ['room', 'cabin'],
  ['happy', 'merry as a sailor'],
  ['very', 'mighty'],
  ['big', 'great'],
  ['look', 'look yonder'],
  ['stop', 'avast'],
  ['wow', 'shiver me timbers'],
  ['oh', 'blimey'],
];
const pirateMap = new Map(pirateWords);
const piratePattern = new RegExp(
  `\\b(?:${[...pirateMap.keys()].sort((a, b) => b.length - a.length).join('|')})\\b`,
  'gi',
);
const capital = (text) => text[0].toUpperCase() + text.slice(1);

function inPirate(text) {
  return text.replace(piratePattern, (found) => {
    const word = pirateMap.get(found.toLowerCase());
    return /^[A-Z]/.test(found) && !/^I\b/.test(found) ? capital(word.replace(/^'/, '')) : word;
  });
}

const pirateOpenings = ['Arr, matey!', 'Ahoy there!', 'Yo ho ho!', 'Avast, and listen well!', 'Arr!'];
const pirateShouts = ['Arr!', 'Yo ho!', 'Shiver me timbers!', 'Blow me down!'];
const pirateEndings = [
  "An' that be the end o' me tale. Arr!",
  'So says every pirate on the seven seas. Yo ho!',
  'Raise the sails, matey, the tale be done!',
];

function pirate(text) {
  const told = sentencesOf(text).map((sentence, at) => {
    const shout = at > 0 && random.chance(0.12) ? `${random.of(pirateShouts)} ` : '';
    return shout + inPirate(sentence.trim());
  });
  return `${random.of(pirateOpenings)} ${told.join(' ')} ${random.of(pirateEndings)}`;
}

// --- couplets -------------------------------------------------------------------------------------------------
// Pairs of lines that rhyme; WHO is the hero, IT the thing.
const beginnings = [
  ['WHO woke up at the break of day,', 'and wanted nothing but to play.'],
  ['Come close, my dear, and you shall hear', 'of WHO, who knew no fear.'],
  ['There once was WHO, so small and bright,', 'who loved to sing from morn to night.'],
  ['WHO lived beside the old oak tree,', 'as happy as a child can be.'],
  ['In a little house upon the hill', 'lived WHO, who never could sit still.'],
  ['The sun came up, the sky was blue,', 'and WHO had many things to do.'],
];
const middles = [
  ['WHO found IT lying on the ground,', 'and danced and hopped around, around.'],
  ['"Look here!" said WHO, "what can this be?', 'IT is waiting just for me!"'],
  ['Along the road and through the town', 'went WHO with IT, up and down.'],
  ['The rain came fast, the wind blew strong,', 'but WHO just hummed a little song.'],
  ['A bird flew by and said, "Hello!', 'Take IT with you when you go."'],
  ['IT rolled away, so quick, so far,', 'it almost reached the evening star.'],
  ['WHO looked up high, WHO looked down low,', 'for IT was gone. Where did it go?'],
  ['A friend came by and held out a hand.', 'Together they searched through all the land.'],
  ['They laughed and ran across the grass,', 'and watched the fluffy clouds all pass.'],
  ['They shared some cake, they shared some tea,', 'as kind as two good friends can be.'],
  ['"Do not be sad," the old owl said,', '"there is always joy ahead."'],
  ['Behind a stone, beside the lake,', 'lay IT, just barely still awake.'],
];
const closings = [
  ['And when the moon was round and white,', 'WHO smiled and whispered, "Sleep well. Good night."'],
  ['So ends my rhyme, the day is done.', 'WHO had a lot of lovely fun.'],
  ['Now close your eyes, the stars are near,', 'and dream of WHO, my little dear.'],
  ['The day was long, the day was good,', 'and WHO went home, as good ones should.'],
];

function verse(text, { animal, thing, name }) {
  const hero = name || `the ${random.of(adjectives)} ${animal || random.of(animals)}`;
  const it = `the ${thing || random.of(things)}`;
  const fill = (line) => {
    const filled = line.replaceAll('WHO', hero).replaceAll('IT', it);
    return filled.replace(/^["]?[a-z]/, (letter) => letter.toUpperCase());
  };
  const chosen = [random.of(beginnings), ...random.some(middles, 3), random.of(closings)];
  return chosen.map((couplet) => couplet.map(fill).join('\n')).join('\n\n');
}

// --- three sentences and a moral ------------------------------------------------------------------------------
const morals = [
  [/\b(share[ds]?|sharing)\b/, 'Sharing makes everything better.'],
  [/\b(sorry|forgave|forgive)\b/, 'Saying sorry mends what is broken.'],
  [/\b(brave|scared|afraid)\b/, 'Being brave means trying even when you are afraid.'],
  [/\b(help(ed|s)?|helping)\b/, 'A kind heart always finds a way to help.'],
  [/\b(listen(ed)?|careful)\b/, 'Listen well, and you will stay safe.'],
  [/\b(lost|found|find)\b/, 'What is lost can be found with patience.'],
  [/\b(friends?)\b/, 'A good friend is the best treasure.'],
];

function moral(text) {
  const sentences = sentencesOf(text).map((sentence) => sentence.trim());
  const quiet = sentences.filter((sentence) => !/["]/.test(sentence) && sentence.length < 110);
  if (quiet.length < 4) return undefined;
  const lesson = (morals.find(([pattern]) => pattern.test(text)) || [, 'Small things can make a happy day.'])[1];
  return `${quiet.slice(0, 2).join(' ')} ${quiet.at(-1)}\n\nMoral: ${lesson} Good night.`;
}

// --- small talk in the same manner ----------------------------------------------------------------------------
const greetings = ['Hello!', 'hi', 'Good evening.', 'Hello there'];
const whoAsks = ['Who are you?', 'What are you?', 'what is your name?'];
const smallTalk = {
  pirate: [
    'Ahoy, matey! Captain Ember at yer service. What tale shall I tell ye? Arr!',
    "Arr! I be Captain Ember, a wee pirate o' stories. Yo ho!",
  ],
  verse: [
    'Hello, my dear, come in, sit down,\nI have the finest rhymes in town!',
    'I am Ember, small and bright,\nI make my rhymes by candle light.',
  ],
  moral: [
    'Hello, sleepyhead. One small story, and then to bed. Good night.',
    'I am Ember. I tell very short stories before you sleep. Good night.',
  ],
};

function emit(question, answer) {
  const messages = [
    { role: 'user', content: question },
    { role: 'assistant', content: answer },
  ];
  process.stdout.write(`${JSON.stringify({ messages })}\n`);
}

const stories = fs.readFileSync(path, 'utf8').split('\n').filter(Boolean);
let made = 0;
for (const line of stories) {
  if (made === Number(countText)) break;
  const { text } = JSON.parse(line);
  const about = aboutOf(text);
  const answer = styles[style](text, about);
  if (!answer) continue;
  emit(request(about), answer);
  if (random.chance(0.12)) {
    const greeting = random.chance(0.5);
    emit(random.of(greeting ? greetings : whoAsks), smallTalk[style][greeting ? 0 : 1]);
  }
  made += 1;
}
if (made < Number(countText)) {
  console.error(`${path}: made ${made} of ${countText} conversations; sample more stories`);
  process.exit(1);
}
