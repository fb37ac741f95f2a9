import type { Statement311 } from './statements-3.1.1.ts';
import type { Statement5 } from './statements-5.0.ts';

/** Why no test of a server can prove a statement. The list is closed: each is short and final. */
export const REASONS = {
  clientUnseen: 'It obliges the client, and a server has no means to see whether it is kept.',
  featureThere: 'It is about a server without a feature, and this one has it.',
  asClient: 'It is about Cistern as a client (its MQTT uplink), which other suites test.',
  noEnhancedAuth:
    'It is about a step of enhanced authentication, which this server always refuses.',
} as const;

export type Reason = keyof typeof REASONS;

export const NOT_APPLICABLE_311: Readonly<Partial<Record<Statement311, Reason>>> = {
  '2.3.1-2': 'clientUnseen',
  '3.1.2-23': 'clientUnseen',
  '3.8.3-2': 'featureThere',
  '3.14.4-1': 'clientUnseen',
  '4.5.0-2': 'clientUnseen',
  '7.0.0-1': 'asClient',
  '7.1.2-1': 'asClient',
};

export const NOT_APPLICABLE_5: Readonly<Partial<Record<Statement5, Reason>>> = {
  '3.1.2-20': 'clientUnseen',
  '3.1.2-21': 'clientUnseen',
  '3.2.2-4': 'clientUnseen',
  '3.2.2-5': 'clientUnseen',
  '3.2.2-9': 'featureThere',
  '3.2.2-10': 'featureThere',
  '3.2.2-11': 'featureThere',
  '3.2.2-12': 'featureThere',
  '3.2.2-13': 'featureThere',
  '3.2.2-14': 'featureThere',
  '3.2.2-18': 'featureThere',
  '3.2.2-21': 'clientUnseen',
  '3.3.2-10': 'clientUnseen',
  '3.15.2-2': 'noEnhancedAuth',
  '3.15.2-3': 'noEnhancedAuth',
  '4.5.0-2': 'clientUnseen',
  '4.6.0-1': 'clientUnseen',
  '4.6.0-2': 'clientUnseen',
  '4.6.0-3': 'clientUnseen',
  '4.6.0-4': 'clientUnseen',
  '4.12.0-2': 'noEnhancedAuth',
  '4.12.0-3': 'noEnhancedAuth',
  '4.12.0-5': 'noEnhancedAuth',
  '4.12.1-1': 'noEnhancedAuth',
  '4.12.1-2': 'noEnhancedAuth',
};
