using RawDiffusion.PtxEmulator.Decoding;

namespace RawDiffusion.PtxEmulator.Execution;

/// <summary>Divergence: which lanes run together, and where they meet again.</summary>
internal sealed unsafe partial class Warp
{
    /// <summary>Instructions that a split executes before another of the same warp gets its turn.</summary>
    private const long SplitTurn = 2000;

    private readonly Stack<Split> _unused = [];
    private readonly Split[] _ready = new Split[64];
    private Split? _current;
    private int _readyCount;
    private bool _givesWay;

    /// <summary>All threads start at the first instruction.</summary>
    public void Start()
    {
        Live = Exists;
        _waitingCount = 0;
        Copies.Clear();
        _readyCount = 0;
        _current = NewSplit(0, -1, Exists, null);
    }

    private Split NewSplit(int pc, int meet, uint mask, Split? parent)
    {
        Split split = _unused.Count > 0 ? _unused.Pop() : new Split();
        (split.Pc, split.Meet, split.Mask, split.Parent, split.Pending) = (pc, meet, mask, parent, 0);
        return split;
    }

    private void MakeReady(Split split) => _ready[_readyCount++] = split;

    private bool PickSplit()
    {
        if (_current is not null)
            return true;
        if (_readyCount == 0 && _waitingCount > 0)
            ResolveWaiting(stuck: true);
        if (_readyCount == 0)
            return false;
        _current = _ready[--_readyCount];
        return true;
    }

    /// <summary>The split that ran goes behind the others that are ready.</summary>
    private void Rotate()
    {
        if (_current is null || _readyCount == 0)
            return;
        Split next = _ready[0];
        Array.Copy(_ready, 1, _ready, 0, _readyCount - 1);
        _ready[_readyCount - 1] = _current;
        _current = next;
    }

    private void Diverge(Split split, Instruction* branch, uint taken)
    {
        uint fallen = split.Mask & ~taken;
        int next = split.Pc + 1, target = branch->Target, meet = branch->Reconverge;
        if (target == next)
        {
            split.Pc = next;
            return;
        }
        // Threads that branch to the end have left: barriers must not wait for them there.
        if (EndsKernel(target))
        {
            split.Pc = next;
            Leave(split, taken);
            return;
        }
        if (EndsKernel(next))
        {
            split.Pc = target;
            Leave(split, fallen);
            return;
        }
        Split? parent;
        if (meet < 0 || meet == split.Meet)
        {
            // They meet where this split itself is to meet: lanes that are there already wait with its parent.
            meet = split.Meet;
            if (target == meet || next == meet)
            {
                (split.Mask, split.Pc) = target == meet ? (fallen, next) : (taken, target);
                return;
            }
            parent = split.Parent;
            (split.Mask, split.Pc) = (fallen, next);
            Split sibling = NewSplit(target, meet, taken, parent);
            if (parent is not null)
                parent.Pending++;
            MakeReady(sibling);
            return;
        }
        parent = split;
        parent.Pc = meet;
        _current = null;
        if (target != meet)
        {
            _current = NewSplit(target, meet, taken, parent);
            parent.Pending++;
        }
        if (next != meet)
        {
            if (_current is not null)
                MakeReady(_current);
            _current = NewSplit(next, meet, fallen, parent);
            parent.Pending++;
        }
    }

    private bool EndsKernel(int pc) => Code[pc].Opcode == Opcode.Exit && Code[pc].Guard < 0;

    /// <summary>Lanes of the split end.</summary>
    private void Leave(Split split, uint lanes)
    {
        Live &= ~lanes;
        Block.LiveThreads -= System.Numerics.BitOperations.PopCount(lanes);
        split.Mask &= ~lanes;
        if (split.Mask == 0)
            Finish(split);
    }

    /// <summary>The split, which is the current one, came to where it meets others, or has no lanes left.</summary>
    private void Finish(Split split)
    {
        _current = null;
        while (true)
        {
            Split? parent = split.Parent;
            split.Parent = null;
            _unused.Push(split);
            if (parent is null || --parent.Pending > 0)
                return;
            parent.Mask &= Live;
            if (parent.Mask != 0)
            {
                _current = parent;
                return;
            }
            split = parent;
        }
    }
}
