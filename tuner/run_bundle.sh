#!/bin/sh
# Measures this folder's candidates against its default, on the machine that runs this; written by halpool-tune.
#   ./run.sh [RESULTS.json]    default: results.json beside this script
# HALPOOL_RUN: words before each program, an emulator or "taskset 80". Stop it when you like: the same command goes on
# where it was, for RESULTS.json.journal has what was measured.
bundle=@BUNDLE@ target=@TARGET@ device=@DEVICE@ total=@TOTAL@
rounds=5

set -f  # nothing that a program says is a pattern
LC_ALL=C
export LC_ALL

fail() {
    echo "run.sh: $*" >&2
    exit 1
}

# Number, kernel family, tolerance and the protocol's line of each candidate: the most promising of every problem first.
table() {
    cat <<'END'
@TABLE@
END
}

# ---- Numbers: a shell has none but integers, perhaps of 32 bits --------------------------------------------------

# number TEXT: $exponent and six $digits of a number that C++ printed, 0.digits x 10^exponent; fails on nan, inf and words.
number() {
    case $1 in '' | [!0-9]* | *[!0-9.e+-]*) return 1 ;; esac
    mantissa=${1%%e*}
    exponent=0
    case $1 in *e*)
        power=${1#*e}
        sign=
        case $power in -*) sign=- ;; esac
        power=${power#[+-]}
        while :; do
            case $power in 0?*) power=${power#0} ;; *) break ;; esac  # 08 is no octal number
        done
        case $power in '' | ????* | *[!0-9]*) return 1 ;; esac
        exponent=$sign$power
        ;;
    esac
    whole=$mantissa
    fraction=
    case $mantissa in
    *[!0-9.]* | *.*.*) return 1 ;;
    *.*)
        whole=${mantissa%.*}
        fraction=${mantissa#*.}
        ;;
    esac
    exponent=$(($exponent + ${#whole}))
    digits=$whole$fraction
    while :; do
        case $digits in
        0*)
            digits=${digits#0}
            exponent=$(($exponent - 1))
            ;;
        '')
            exponent=-9999
            break
            ;;
        *) break ;;
        esac
    done
    digits=${digits}000000
    rest=${digits#??????}
    digits=${digits%"$rest"}
}

# lower A B: whether A < B; fails too where one is no number.
lower() {
    number "$1" || return 1
    lower_exponent=$exponent
    lower_digits=$digits
    number "$2" || return 1
    [ "$lower_exponent" -lt "$exponent" ] || { [ "$lower_exponent" -eq "$exponent" ] && [ "$lower_digits" -lt "$digits" ]; }
}

# least NUMBER...: $minimum
least() {
    minimum=
    for figure; do
        number "$figure" || return 1
        if [ -z "$minimum" ] || [ "$exponent" -lt "$least_exponent" ] ||
            { [ "$exponent" -eq "$least_exponent" ] && [ "$digits" -lt "$least_digits" ]; }; then
            minimum=$figure
            least_exponent=$exponent
            least_digits=$digits
        fi
    done
    [ -n "$minimum" ]
}

# calls_of NS: $calls of so long take some 20 ms; a repetition has 20 us at least, one of a device 3 ms.
calls_of() {
    number "$1" || return 1
    if [ -n "$device" ]; then most_calls=20; else most_calls=500; fi
    case $exponent in
    5) calls=$((20000000 / ($digits / 10))) ;;
    6) calls=$((20000000 / $digits)) ;;
    7) calls=$((20000000 / ($digits * 10))) ;;
    *) if [ "$exponent" -lt 5 ]; then calls=$most_calls; else calls=3; fi ;;
    esac
    if [ "$calls" -gt "$most_calls" ]; then calls=$most_calls; fi
    if [ "$calls" -lt 3 ]; then calls=3; fi
}

# ---- The programs ------------------------------------------------------------------------------------------------

# ask PROGRAM COMMAND: $answer, and the $estimate of a call; or fails, and $answer says why.
ask() {
    # Of a device, kernels that everybody gets are measured: the family's, whichever the problem would take.
    answers=$([ -z "$device" ] || export HALPOOL_KERNEL="${family}_$target"
        $HALPOOL_RUN "$here/$1" --threads 1 --target "$target" <<END
ready
$setup
$2
END
    )
    status=$?
    lines=0
    while read -r word text; do
        [ -n "$word" ] || continue
        if [ "$word" != ok ]; then
            answer="$1: $word $text"
            return 1
        fi
        lines=$(($lines + 1))
        if [ "$lines" -eq 2 ]; then estimate=$text; fi
        answer=$text
    done <<END
$answers
END
    if [ "$lines" -ne 3 ] || [ "$status" -ne 0 ]; then
        answer="$1 ended with status $status"
        return 1
    fi
}

# timed TEXT COMMAND...: does it, or $answer says that TEXT was no time.
timed() {
    untimed=$1
    shift
    "$@" || {
        answer="no times: $untimed"
        return 1
    }
}

# Whether the candidate's output is the default's, and how many calls each gets. Status 1: the default fails, 2: the candidate.
prepare() {
    ask default "write $scratch" || return 1
    timed "$estimate" calls_of "$estimate" || return 1
    default_calls=$calls
    ask "$program" "compare $scratch" || return 2
    rm -f "$scratch"
    if ! number "$answer" || lower "$tolerance" "$answer"; then
        answer="its output is off by $answer"
        return 2
    fi
    timed "$estimate" calls_of "$estimate" || return 2
    candidate_calls=$calls
}

# $default_ns and $candidate_ns: each the minimum of many calls, in turns. Status as above.
measure() {
    default_ns=
    candidate_ns=
    round=0
    while [ "$round" -lt "$rounds" ]; do
        round=$(($round + 1))
        ask default "run $default_calls" || return 1
        timed "$answer" least $default_ns ${answer#* } || return 1
        default_ns=$minimum
        ask "$program" "run $candidate_calls" || return 2
        timed "$answer" least $candidate_ns ${answer#* } || return 2
        candidate_ns=$minimum
    done
}

# ---- What was measured -------------------------------------------------------------------------------------------

# note KIND TEXT: a line of the journal, which ends with a full stop when it is whole.
note() {
    echo "$bundle $host $family $number $1 $2 ." >>"$journal" || fail "$journal cannot be written"
}

# What the journal has of this candidate: $first and $second measurement, or what is $wrong.
recall() {
    first=
    second=
    wrong=
    while read -r id where what which kind text; do
        [ "$id $where $what $which" = "$bundle $host $family $number" ] || continue
        case $text in *' .') text=${text% .} ;; *) continue ;; esac  # stopped here
        case $kind in 1) first=$text ;; 2) second=$text ;; wrong) wrong=$text ;; esac
    done <"$journal"
}

# plain TEXT: without what JSON or the journal would trip over
plain() {
    cat <<END | sed 's/[^ -~]//g; s/["\\]//g; s/^ *//; s/ *$//'
$1
END
}

# one_measurement KIND: status 0 if the journal has it now.
one_measurement() {
    prepare && measure
    case $? in
    0) note "$1" "$default_ns $candidate_ns" ;;
    1)
        echo "run.sh: $family cannot be measured here: $answer" >&2
        return 1
        ;;
    *) note wrong "$(plain "$answer")" ;;
    esac
    recall
}

results_text() {
    cpu=
    cpuinfo=
    if [ -r /proc/cpuinfo ]; then
        # Which CPU this is, as device_identity.py reads it.
        for name in vendor_id 'cpu family' model 'model name' 'CPU implementer' 'CPU architecture' 'CPU part' Hardware; do
            line=$(plain "$(sed -n "/^${name}[^A-Za-z]*:/{p;q;}" /proc/cpuinfo)")
            [ -z "$line" ] || cpuinfo="$cpuinfo${cpuinfo:+, }\"$line\""
        done
        for name in 'model name' Hardware 'CPU part'; do
            cpu=$(sed -n "/^${name}/{s/^[^:]*: *//p;q;}" /proc/cpuinfo)
            [ -z "$cpu" ] || break
        done
        case $name$cpu in 'CPU part'?*) cpu="$(uname -m) CPU part $cpu" ;; esac
        cores=$(grep -c '^processor' /proc/cpuinfo)
    fi
    [ -n "$cpu" ] || cpu=$(uname -m)
    case ${cores:-0} in 0) cores=null ;; esac
    gpu=
    if [ "$device" = cuda ]; then
        gpu=$(plain "$(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | sed -n 1p)")
        gpu="\"gpu\": \"${gpu:-unknown}\", "
    fi
    echo "{\"format\": 1, \"bundle\": \"$bundle\","
    echo " \"device\": {$gpu\"cpu\": \"$(plain "$cpu")\", \"cores\": $cores, \"date\": \"$(date -u +%Y-%m-%d)\","
    echo "  \"cpuinfo\": [$cpuinfo]},"
    echo ' "measured": ['
    line=
    while read -r number family tolerance setup; do
        recall
        [ -n "$first$wrong" ] || continue
        [ -z "$line" ] || echo "$line,"
        line="  {\"family\": \"$family\", \"candidate\": $number"
        if [ -n "$wrong" ]; then
            line="$line, \"error\": \"$wrong\"}"
        elif [ -n "$second" ]; then
            line="$line, \"default_ns\": [${first% *}, ${second% *}], \"candidate_ns\": [${first#* }, ${second#* }]}"
        else
            line="$line, \"default_ns\": [${first% *}], \"candidate_ns\": [${first#* }]}"
        fi
    done <<END
$(table)
END
    echo "$line"
    echo ' ]}'
}

# ---- Once at a time ----------------------------------------------------------------------------------------------

case $0 in */*) here=${0%/*} ;; *) here=. ;; esac
here=$(CDPATH='' cd "${here:-/}" && pwd) || fail "where is $0?"
results=${1:-$here/results.json}
# The protocol's paths have no spaces: all else is named from here.
case $results in */*) CDPATH='' cd "${results%/*}/" || exit 1 ;; esac
results=${results##*/}
[ -n "$results" ] || fail "$1 is a folder"
journal=$results.journal
scratch=.halpool-$bundle
host=$(plain "$(uname -n)" | sed 's/ /_/g')
host=${host:-unknown}

lock=$here/.running
[ -w "$here" ] || lock=$results.running
take_lock() {
    (set -C; echo $$ >"$lock") 2>/dev/null
}
if ! take_lock; then
    owner=
    if [ -r "$lock" ]; then read -r owner <"$lock"; fi
    # Killed, it left its lock; its number may be another process's by now.
    if [ -n "$owner" ] && kill -0 "$owner" 2>/dev/null &&
        { [ ! -r "/proc/$owner/cmdline" ] || grep -q 'run\.sh' "/proc/$owner/cmdline"; }; then
        fail "runs already, as process $owner, and two at once would disturb each other (if it does not: rm $lock)"
    fi
    rm -f "$lock"
    take_lock || fail "$lock cannot be written"
fi
trap 'rm -f "$lock" "$scratch" "$results.new"' 0
trap 'exit 129' 1
trap 'exit 130' 2
trap 'exit 143' 15

echo >>"$journal" || fail "$journal cannot be written"  # ends a torn line
at=0
measured=0
while read -r number family tolerance setup; do
    at=$(($at + 1))
    program=candidate-$number
    recall
    if [ -z "$first$wrong" ]; then one_measurement 1 || continue; fi
    # Once more, independently, where it gained.
    if [ -z "$second$wrong" ] && lower "${first#* }" "${first% *}"; then one_measurement 2 || continue; fi
    measured=$(($measured + 1))
    if [ -n "$wrong" ]; then
        echo "[$at/$total] $family $program: $wrong" >&2
    else
        echo "[$at/$total] $family $program: ${first#* }${second:+, ${second#* }} ns, default ${first% *}${second:+, ${second% *}} ns" >&2
    fi
done <<END
$(table)
END

[ "$measured" -gt 0 ] || fail "nothing could be measured"
results_text >"$results.new" && mv -f "$results.new" "$results" || fail "$results cannot be written"
[ "$measured" -eq "$total" ] || echo "run.sh: $(($total - $measured)) of $total candidates could not be measured" >&2
echo "run.sh: $results has what was measured" >&2
