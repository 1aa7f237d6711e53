"use strict";
// What temperature, top-k, top-p and min-p, in this order, would keep of a prediction of which the likeliest tokens are
// listed: their logarithms, and what is known of the others.
const tokenSettings = (() => {
  const count = (value) => value.toLocaleString("en-US");

  function percent(p) {
    if (p > 1 - 1e-9) return "100%";
    if (p >= 0.9995) return "> 99.9%";
    if (p >= 0.1) return `${(100 * p).toFixed(1)}%`;
    if (p >= 0.001) return `${(100 * p).toFixed(2)}%`;
    if (p >= 0.00001) return `${(100 * p).toFixed(3)}%`;
    return p > 0 ? "< 0.001%" : "0%";
  }

  // One number where both ends say the same, else both.
  function range(low, high, told) {
    return told(low) === told(high) ? told(low) : `${told(low)} to ${told(high)}`;
  }

  // T(a): the sum of p^a over the tokens that are not listed. log T is convex in a, and the file has it with its
  // slope at 1 and at 1/2, so it lies above both tangents and below the chord.
  function tailOf(tail, power, least) {
    if (!tail) return [0, 0];
    const [one, slope, half, halfSlope] = tail;
    if (power >= 1) {
      const high = Math.exp(one + (power - 1) * least);
      return [slope === null ? 0 : Math.min(high, Math.exp(one + (power - 1) * slope)), high];
    }
    const share = (1 - power) / 0.5;
    const high = Math.exp((1 - share) * one + share * half);
    const lows = [0];
    if (slope !== null) lows.push(Math.exp(one + (power - 1) * slope));
    if (halfSlope !== null) lows.push(Math.exp(half + (power - 0.5) * halfSlope));
    return [Math.min(high, Math.max(...lows)), high];
  }

  const isOff = ({ temperature, topK, topP, minP }) => temperature === 1 && topK === null && topP === null && minP === null;

  // Probabilities of the listed tokens after the settings, as [low, high] each, and what is known of the others.
  function kept(logs, tail, vocabulary, { temperature, topK, topP, minP }) {
    const others = tail ? vocabulary - logs.length : 0;
    if (temperature === 0) return outcome(logs, logs.map((_, k) => Number(k === 0)), [0, 0], 1, false, 0);
    const power = 1 / temperature;
    // From the likeliest: p^a of small a power may be below what a number can hold.
    const weights = logs.map((one) => Math.exp(power * (one - logs[0])));
    let rest = tailOf(tail, power, logs[logs.length - 1]).map((one) => one * Math.exp(-power * logs[0]));
    let size = logs.length;
    let more = others;
    if (topK !== null && topK < size + more) { size = Math.min(size, topK); more = 0; rest = [0, 0]; }
    let unsure = false;
    if (topP !== null) {
      const before = (total) => {
        let sum = 0;
        for (let k = 0; k < size; k += 1) {
          if (sum / total >= topP) return k;
          sum += weights[k];
        }
        return sum / total >= topP ? size : null;
      };
      const listed = weights.slice(0, size).reduce((a, b) => a + b, 0);
      const [few, many] = [before(listed + rest[0]), before(listed + rest[1])];
      unsure = few === null ? more > 0 : few !== many;
      if (many !== null) [size, more, rest] = [many, 0, [0, 0]];
      // What is kept has at least the mass top-p asks for.
      else rest = [Math.max(0, topP * (listed + rest[0]) - listed), rest[1]];
    }
    if (minP !== null) {
      const passing = weights.slice(0, size).filter((one) => one >= minP).length;
      if (passing < size) [size, more, rest, unsure] = [passing, 0, [0, 0], false];
      else if (more) [unsure, rest] = [true, [0, rest[1]]];
    }
    return outcome(logs, weights.map((one, k) => (k < size ? one : 0)), rest, size, unsure, more);
  }

  function outcome(logs, weights, rest, size, unsure, more) {
    const listed = weights.reduce((a, b) => a + b, 0);
    const [low, high] = [listed + rest[0], listed + rest[1]];
    return {
      probabilities: weights.map((one) => [one / high, one / low]),
      rest: [rest[0] / low, rest[1] / high],
      own: logs.reduce((sum, one, k) => sum + (weights[k] > 0 ? Math.exp(one) : 0), 0),
      size, unsure, more,
    };
  }

  function sentence(found, vocabulary, asked) {
    const others = found.more;
    if (isOff(asked)) return "At temperature 1 and without limits every token can be drawn, as the bars say.";
    if (!others) {
      const size = found.unsure ? `At most ${count(found.size)}` : count(found.size);
      const entropy = -found.probabilities.reduce((sum, [p]) => sum + (p > 0 ? p * Math.log(p) : 0), 0);
      const own = `with ${percent(Math.min(1, found.own))} of the model's own probability`;
      const drawn = found.unsure ? "" : ` What is drawn from them has an entropy of ${Math.abs(entropy).toFixed(2)} nats.`;
      return `${size} of ${count(vocabulary)} tokens would be kept, ${own}.${drawn}`;
    }
    const rest = range(found.rest[0], found.rest[1], percent);
    if (!found.unsure) return `All ${count(vocabulary)} tokens would be kept; those not listed would have ${rest} of the probability.`;
    const some = found.rest[0] > 0 ? "some" : "perhaps some";
    return `All ${count(found.size)} listed tokens would be kept, and ${some} of the ${count(others)} others, with ${rest} of the probability; which of them this file does not tell.`;
  }

  return { count, isOff, kept, percent, range, sentence };
})();
