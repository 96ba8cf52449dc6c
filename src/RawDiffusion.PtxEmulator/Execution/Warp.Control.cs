using System.Numerics;
using RawDiffusion.PtxEmulator.Checks;
using RawDiffusion.PtxEmulator.Decoding;

namespace RawDiffusion.PtxEmulator.Execution;

/// <summary>Instructions that change the flow of control, and those at which lanes wait for others of their warp.</summary>
internal sealed unsafe partial class Warp
{
    private readonly Split[] _waiting = new Split[32];
    private readonly uint[] _waitingLanes = new uint[32];
    private int _waitingCount;

    /// <summary>Executes the instruction at the split's pc for the lanes of a mask that is not empty, and moves the split on.</summary>
    private void Control(Split split, Instruction* i, uint mask)
    {
        switch (i->Opcode)
        {
            case Opcode.Exit:
                split.Pc++;
                Leave(split, mask);
                return;
            case Opcode.Call:
                for (uint lanes = mask; lanes != 0; lanes &= lanes - 1)
                    ((uint*)(R + i->D))[BitOperations.TrailingZeroCount(lanes)] = (uint)(split.Pc + 1);
                split.Pc = i->Target;
                return;
            case Opcode.Ret:
                split.Pc = (int)*FirstLane(i->A, mask);
                return;
            case Opcode.BrxIdx:
                BranchIndexed(split, i, mask);
                return;
            case Opcode.Bar:
                split.Pc++;
                Block.Arrive(this, split, i, mask);
                return;
            case Opcode.Nanosleep:
                split.Pc++;
                GiveWay();
                return;
            case Opcode.ReadSpecial:
                split.Pc++;
                Movement.ReadSpecial(this, i, mask);
                return;
            case Opcode.Trap:
                throw Fault(HazardKind.Trap, i, mask, "trap");
            case Opcode.Brkpt:
                throw Fault(HazardKind.Trap, i, mask, "breakpoint");
            default:
                Collective(split, i, mask);
                return;
        }
    }

    /// <summary>Where a split is that could run, and its lanes.</summary>
    public (int Pc, uint Mask)? Position()
    {
        Split? split = _current ?? (_readyCount > 0 ? _ready[_readyCount - 1] : null);
        return split is null ? null : (split.Pc, split.Mask);
    }

    /// <summary>Lets other warps run before this one goes on: where it waits for them in a loop.</summary>
    public void GiveWay() => _givesWay = true;

    /// <summary>Whether the warp gave way when it ran last.</summary>
    public bool GaveWay => _givesWay;

    /// <summary>The current split stops here until the barrier that it was entered in lets it on.</summary>
    public void Stop() => _current = null;

    /// <summary>A barrier lets a split on.</summary>
    public void Resume(Split split) => MakeReady(split);

    private uint* FirstLane(int slot, uint mask) => (uint*)(R + slot) + BitOperations.TrailingZeroCount(mask);

    private void BranchIndexed(Split split, Instruction* i, uint mask)
    {
        uint* index = (uint*)(R + i->A);
        int pc = split.Pc;
        // Lanes with the first lane's index go there; the others come back to this instruction as a split of their own.
        uint chosen = *FirstLane(i->A, mask);
        if (chosen >= i->ListCount)
            throw Fault(HazardKind.InvalidOperand, i, mask, $"brx.idx {chosen} of a list of {i->ListCount} targets");
        int target = Operands[i->List + (int)chosen];
        uint same = 0;
        for (uint lanes = mask; lanes != 0; lanes &= lanes - 1)
        {
            int lane = BitOperations.TrailingZeroCount(lanes);
            if (index[lane] == chosen)
                same |= 1u << lane;
        }
        if (same == split.Mask)
        {
            split.Pc = target;
            return;
        }
        if (EndsKernel(target))
        {
            Leave(split, same);
            return;
        }
        int meet = i->Reconverge;
        if (meet >= 0 && meet != split.Meet)
        {
            split.Pc = meet;
            Split parent = split;
            split = NewSplit(pc, meet, parent.Mask, parent);
            parent.Pending = 1;
            _current = split;
        }
        split.Mask &= ~same;
        if (target == split.Meet)
            return;
        MakeReady(NewSplit(target, split.Meet, same, split.Parent));
        if (split.Parent is not null)
            split.Parent.Pending++;
    }

    /// <summary>
    /// Shuffles, votes and the like. The lanes of the member mask exchange values when all of them that live have come to the same
    /// instruction (for bar.warp.sync: to any). Mostly they are together already.
    /// </summary>
    private void Collective(Split split, Instruction* i, uint mask)
    {
        uint members = Members(i, mask);
        if (Program.Mode == ExecutionMode.Checked)
            CheckMembers(i, mask, members);
        if ((members & Live & ~mask) == 0)
        {
            Perform(i, mask, members);
            split.Pc++;
            return;
        }
        _waiting[_waitingCount] = split;
        _waitingLanes[_waitingCount++] = mask;
        _current = null;
        ResolveWaiting(stuck: false);
    }

    private void Perform(Instruction* i, uint mask, uint members)
    {
        if (i->Opcode == Opcode.WarpSync)
            Block.Order?.SynchronizeWarp(Index, mask);
        else
            ((delegate*<Warp, Instruction*, uint, void>)Program.Plain[PcOf(i)])(this, i, mask);
    }

    private void CheckMembers(Instruction* i, uint mask, uint members)
    {
        if ((mask & ~members) != 0)
            throw Fault(HazardKind.InvalidMemberMask, i, mask & ~members, $"member mask 0x{members:x8} of {i->Opcode} does not name the thread that executes it (active lanes 0x{mask:x8})");
        for (uint lanes = mask; lanes != 0; lanes &= lanes - 1)
        {
            uint lane = lanes & (0 - lanes);
            if (Members(i, lane) != members)
                throw Fault(HazardKind.InvalidMemberMask, i, lane, $"lanes that execute {i->Opcode} together name different member masks: 0x{members:x8} and 0x{Members(i, lane):x8}");
        }
    }

    private uint Members(Instruction* i, uint mask)
    {
        int slot = i->Opcode switch
        {
            Opcode.Shfl => Operands[i->List + 3],
            Opcode.WarpSync or Opcode.ElectSync => i->A,
            _ => i->B,
        };
        return slot < 0 ? mask : *FirstLane(slot, mask);
    }

    /// <summary>Lets those on that now have all members. Where nothing else of the warp can run, the rest goes on without the missing ones.</summary>
    private void ResolveWaiting(bool stuck)
    {
        for (int w = 0; w < _waitingCount; w++)
        {
            Instruction* i = Code + _waiting[w].Pc;
            uint together = 0;
            for (int other = 0; other < _waitingCount; other++)
            {
                if (_waiting[other].Pc == _waiting[w].Pc || (i->Opcode == Opcode.WarpSync && Code[_waiting[other].Pc].Opcode == Opcode.WarpSync))
                    together |= _waitingLanes[other];
            }
            uint members = Members(i, _waitingLanes[w]);
            uint missing = members & Live & ~together;
            if (missing != 0 && !stuck)
                continue;
            if (missing != 0 && Program.Mode == ExecutionMode.Checked)
                throw Fault(HazardKind.InvalidMemberMask, i, _waitingLanes[w], $"lanes 0x{missing:x8} of the member mask 0x{members:x8} of {i->Opcode} never execute it");
            Perform(i, together & members, members);
            int pc = _waiting[w].Pc;
            bool anywhere = i->Opcode == Opcode.WarpSync;
            for (int other = _waitingCount - 1; other >= 0; other--)
            {
                Split split = _waiting[other];
                if ((split.Pc == pc || (anywhere && Code[split.Pc].Opcode == Opcode.WarpSync)) && (_waitingLanes[other] & ~members) == 0)
                {
                    split.Pc++;
                    MakeReady(split);
                    _waitingCount--;
                    (_waiting[other], _waitingLanes[other]) = (_waiting[_waitingCount], _waitingLanes[_waitingCount]);
                }
            }
            if (_readyCount == 0)
                throw Fault(HazardKind.InvalidMemberMask, i, together, $"no lane of the member mask 0x{members:x8} executes {i->Opcode}");
            return;
        }
    }
}
